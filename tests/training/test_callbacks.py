"""What happens at the boundaries of phases, and the watch over mixtures."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.models import mixture_vae
from tests.support.plugins.stopping import PLUGIN, Spoils
from tests.support.training import train
from vae_cli.config.schema import Node
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import UserError
from vae_cli.objectives import ELBO, Reconstruction
from vae_cli.runs import checkpoints
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_module
from vae_cli.training.callbacks import MixtureMonitor, PhaseInitialiser

VADE = (
    "model=vade", "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "logger=csv", "prior.components=3",
    "pretraining.epochs=2", "initialisation=gmm", "initialisation.fixed_epochs=1", "dataset.batch_size=400",
)  # fmt: skip


def watched(objective, components: int = 3):
    model, _, _ = mixture_vae(components=components)
    module = build_module(
        composed("dataset=digits", "network.hidden=[4]"), DatasetInfo("digits", (1, 8, 8), "binary", "")
    )
    module.model = model
    module.phases = (SimpleNamespace(epochs=9, objective=objective, follows=False),)
    return model, module


def test_a_component_that_goes_wrong_is_named_once(capsys, caplog):
    model, module = watched(ELBO(beta=1.0, free_bits=0.0, samples=1))
    watch, trainer = MixtureMonitor(), SimpleNamespace(current_epoch=4, is_global_zero=True)
    with torch.no_grad():
        model.prior.means.copy_(torch.tensor([[0.0, 0, 0], [9, 9, 9], [-9, 9, 9]]))
    watch.on_train_epoch_end(trainer, module)
    assert capsys.readouterr().out == ""
    with torch.no_grad():
        model.prior.logits[1] = -20.0
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            watch.on_train_epoch_end(trainer, module)
    assert capsys.readouterr().out.count("epoch 5: component 1 is empty") == 1
    assert caplog.text.count("component 1 is empty") == 1


def test_pretraining_is_not_watched(capsys):
    model, module = watched(Reconstruction())
    with torch.no_grad():
        model.prior.logits[1] = -20.0
    MixtureMonitor().on_train_epoch_end(SimpleNamespace(current_epoch=0, is_global_zero=True), module)
    assert capsys.readouterr().out == ""


def test_the_best_checkpoint_is_one_of_the_last_phase_and_patience_waits_for_it(tmp_path):
    """The learning rate is so small that validation gets no better: patience alone decides how long the end is."""
    config = composed(*VADE, "trainer.patience=1", "trainer.max_epochs=30", "optimizer.lr=1e-12")
    results = train(config, tmp_path)
    assert 4 < results["train/epochs"] < 33
    best, last = (checkpoints.load(tmp_path / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert 3 <= best["epoch"] < last["epoch"] == results["train/epochs"] - 1


def test_the_last_checkpoint_of_a_best_epoch_is_a_copy_that_stays(tmp_path):
    config = composed("dataset=digits", "network.hidden=[4]", "trainer.max_epochs=2", "trainer.limit_batches=4")
    assert train(config, tmp_path)["train/best_epoch"] == 2
    best, last = (tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    assert best.read_bytes() == last.read_bytes() and not best.samefile(last)


def test_the_results_are_those_of_the_best_checkpoint_whatever_a_callback_does_at_the_end(tmp_path):
    config = composed("dataset=digits", "network.hidden=[4]", "trainer.max_epochs=2", "trainer.limit_batches=4")
    spoils = Node(f"{Spoils.__module__}.{Spoils.__name__}", {})
    plain = train(config, tmp_path / "plain")
    spoilt = train(replace(config, callbacks={"spoils": spoils}), tmp_path / "spoilt")
    assert plain["train/best_epoch"] == spoilt["train/best_epoch"] == 2
    assert plain["test/elbo"] == spoilt["test/elbo"]


def test_too_many_components_are_refused_before_training(tmp_path):
    config = composed(*VADE, "prior.components=700")
    with pytest.raises(
        UserError, match=r"prior\.components=700: too many .* 1238 .*; use prior\.components=619 or less"
    ):
        train(config, tmp_path)


def test_a_users_callback_adds_to_the_rows_and_stops_a_training_at_any_moment(tmp_path):
    target = "callbacks.own._target_=stopping.Stops"
    arguments = (
        "dataset=digits",
        "network.hidden=[4]",
        "evaluate.samples=2",
        "logger=csv",
        "hydra.run.dir=run",
        target,
    )
    done = fork("vae-train", *arguments, folder=tmp_path, **PLUGIN)
    assert (done.code, done.err) == (0, "")
    assert [row["own/epoch"] for row in RunFolder(tmp_path / "run").history()] == [0.0, 1.0]


def test_codes_are_averages_over_draws_that_add_their_variance():
    config = composed(*VADE)
    data = config.dataset.build().load()
    facts = DatasetInfo.of(data)
    module = build_module(config, facts)
    training = PhaseInitialiser(data, config.seed, None)._codes(module)
    assert training.limit == len(data.train) == len(training.codes.means)
    single = PhaseInitialiser(data, config.seed, config.dataset.arguments["batch_size"])._codes(module)
    assert single.limit == 400
    apart = (single.codes.means - training.codes.means).square().mean()
    assert apart > 0 and (training.codes.variances > 0).all()
