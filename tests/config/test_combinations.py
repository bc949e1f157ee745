"""The table of combinations, and what it allows trains a step; `python -m tests.support.combinations` writes it."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tests.support import combinations
from tests.support.combinations import SECTIONS, Choice, allowed, chosen, completed, composed, file, read
from tests.support.configs import unchecked
from tests.support.contract import SMALL_NETWORKS, data_of, train_a_step
from tests.support.evaluation import evaluated
from vae_cli.config import signatures
from vae_cli.config.check import check
from vae_cli.config.schema import GapsConfig, TrainConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.evaluation.inference_gaps import inference_gaps
from vae_cli.training.build import build_module

SMALL: dict[tuple[str, str | None], list[str]] = {
    **{("network", name): sizes for name, sizes in SMALL_NETWORKS.items()},
    **{("posterior", name): ["posterior.hidden=[6]"] for name in ("bottom_up", "coupling", "graph", "iaf", "top_down")},
    **{("divergence", f"image_discriminator{end}"): ["divergence.width=8"] for end in ("", "_hinge")},
    **{("divergence", f"latent_discriminator{end}"): ["divergence.hidden=[8]"] for end in ("", "_hinge")},
    **{("codebook", name): ["codebook.codes=8"] for name in ("ema", "loss")},
    ("posterior", "categorical"): ["posterior.categories=3"],
    ("model", "hvae"): ["model.below=[4]", "model.hidden=[6]"],
    ("objective", "factorvae"): ["objective.hidden=[8]"],
    ("prior", "code_transformer"): ["prior.layers=1", "prior.heads=1"],
    ("prior", "ex_post"): ["prior.components=2"],
    ("prior", "flow"): ["prior.hidden=[8]"],
    ("prior", "mixture"): ["prior.components=3"],
    ("prior", "vamp"): ["prior.pseudo_inputs=4"],
    ("refinement", "alternating_svi"): ["refinement.steps=3", "refinement.train_steps=2"],
    ("refinement", "semi_amortised"): ["refinement.steps=3", "refinement.train_steps=2"],
    ("refinement", "test_time"): ["refinement.steps=3"],
}
ALWAYS = ["model.latent_dim=3", "dataset.batch_size=8", "evaluate.samples=5", "trainer.accelerator=cpu"]
TRAINED = [one for one in SECTIONS if one[0] not in ("dataset", "dataset.domain", "evaluate")]
"""The sections whose combinations differ in training; data and likelihoods have tests of their own."""


def configuration(choice: Choice, *sizes: str) -> TrainConfig:
    """A small model of these choices."""
    choice = completed(choice)
    sizes = (*ALWAYS, *(size for option in chosen(choice).items() for size in SMALL.get(option, ())), *sizes)
    return check(OmegaConf.create(composed(choice | dict(size.split("=") for size in sizes))))


def facts(choice: Choice) -> set[object]:
    """The chosen options, and the words that all classes together provide."""
    files = [read(file(group, option))[1] for group, option in chosen(completed(choice)).items() if option]
    nodes = [node for content in files for node in content.values() if isinstance(node, dict)]
    targets = [node["_target_"] for node in nodes if "_target_" in node]
    return {*choice.items(), frozenset(word for target in targets for word in signatures.read(target).provides)}


def trained() -> list:
    """All combinations that the table allows; by default as many as show each option and each set of capabilities."""
    choices = [choice for groups in TRAINED for choice in allowed(*groups)]
    tested = {"model", "initialisation"}  # by tests/training
    new = {name(choice): facts(choice) for choice in choices if not tested & choice.keys()}
    default, missing = set(), set().union(*new.values())
    while missing:
        most = max(new, key=lambda one: len(new[one] & missing))
        default.add(most)
        missing -= new[most]
    return [pytest.param(one, marks=() if name(one) in default else pytest.mark.slow, id=name(one)) for one in choices]


def name(choice: Choice) -> str:
    return " ".join(f"{group}={option}" for group, option in choice.items())


def test_the_table_is_that_of_the_rules() -> None:
    table = combinations.FILE.read_text(encoding="utf-8")
    assert combinations.table() == table, "python -m tests.support.combinations; then review the diff"
    assert len(table.splitlines()) < 600


@pytest.mark.parametrize(
    "choice",
    [
        {"model": "vqvae"},
        {"model": "hvae", "network": "mlp_vade"},
        {"model": "vae_gan", "posterior": "per_example"},
        {"objective": "gan", "dataset": "linear_gaussian", "posterior": "none"},
        {"model": "vade", "pretraining": "none", "evaluate": "gaps"},
    ],
    ids=name,
)
def test_the_table_composes_as_hydra_does(choice: Choice) -> None:
    composition = unchecked(*(f"{group}={option}" for group, option in ({"dataset": "digits"} | choice).items()))
    config = OmegaConf.to_container(composition)
    assert isinstance(config, dict)
    config.pop("hydra")
    assert composed(choice) == config


@pytest.mark.parametrize("choice", trained())
def test_an_allowed_combination_trains_a_step(choice: Choice) -> None:
    train_a_step(configuration(choice))


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param(
            one,
            marks=()
            if name(one) in ("posterior=coupling prior=vamp", "posterior=bottom_up prior=mixture")
            else pytest.mark.slow,
            id=name(one),
        )
        for one in allowed("posterior", "prior")
    ],
)
def test_every_prior_is_a_proposal_and_every_gap_is_measured(choice: Choice) -> None:
    """Evaluations after training whose failure would lose the run: Monte Carlo from the prior, inference gaps."""
    config = configuration(choice, "evaluate.estimator=prior")
    data = data_of(config)
    batch = next(iter(data.loader("train", batch_size=4, seed=0, shuffle=False, device=torch.device("cpu"))))
    module = build_module(config, DatasetInfo.of(data)).eval()
    numbers = evaluated(module.model, [batch], config.evaluate, data)
    assert all(np.isfinite(value).all() for value in numbers.values())
    assert ("mc_log_likelihood" in numbers) == module.model.has_density
    if choice["posterior"] in ("diagonal", "full_covariance", "per_example"):
        found = inference_gaps(module.model, batch, 10**4, GapsConfig(4, 2, 3, 2, 2, 2, 0.01, 5, 5))
        assert all(value.isfinite().all() for value in found.values())
