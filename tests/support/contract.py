"""What every allowed combination of options has to do: train a step, be evaluated, sampled, saved and loaded."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from tests.support.configs import composed
from tests.support.evaluation import evaluated
from vae_cli.config.schema import TrainConfig
from vae_cli.datasets import Data
from vae_cli.datasets.info import DatasetInfo
from vae_cli.models.model import posterior_moments
from vae_cli.objectives import Progress
from vae_cli.runs.layout import conf_folder
from vae_cli.training.build import build_module
from vae_cli.training.phases import TrainingCodes

SMALL_NETWORKS = {
    "mlp": ["network.hidden=[16]"],
    "mlp_vade": ["network.hidden=[16]"],
    "mlp_iwae": ["network.hidden=[16]"],
    "linear": [],
    "conv": ["network.channels=[4]", "network.dense=8"],
    "residual_mlp": ["network.width=16", "network.blocks=1"],
    "resnet": ["network.channels=[4]"],
    "conv_spatial": ["network.channels=[4]"],
}
DATASETS = {
    "digits": ["dataset=digits"],
    "digits grey": ["dataset=digits", "dataset.binarize=none"],
    "linear_gaussian": ["dataset=linear_gaussian", "dataset.train_size=300", "dataset.val_size=50"],
    "gaussian_mixture": ["dataset=gaussian_mixture", "dataset.train_size=300", "dataset.val_size=50"],
    "npz bytes": ["dataset=array", "dataset.domain=levels", "dataset.val_size=5"],
}


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def configuration(dataset: str, *overrides: str) -> TrainConfig:
    fixed = ["dataset.binarize=static"] if "posterior=per_example" in overrides else []
    if fixed and any(one.startswith("objective=") and one != "objective=elbo" for one in overrides):
        fixed += ["refinement.train_steps=0"]
    return composed(*DATASETS[dataset], *fixed, "model.latent_dim=3", "dataset.batch_size=8", *overrides)


def pairs(*groups: Iterable[str], among: Callable[..., bool]) -> list:
    """All combinations; those that are not among the pairs of interest are slow, since each is composed and checked."""
    return [pytest.param(*one, marks=() if among(*one) else pytest.mark.slow) for one in product(*groups)]


@cache
def loaded(dataset: str) -> Data:
    """The data of a node that is given as JSON."""
    return instantiate(json.loads(dataset)).load()


def data_of(config: TrainConfig) -> Data:
    """Data that several tests share."""
    return loaded(json.dumps(config.dataset.plain()))


def train_a_step(config: TrainConfig) -> None:
    data = data_of(config)
    facts = DatasetInfo.of(data)
    module = build_module(config, facts)
    loader = data.loader("train", batch_size=8, seed=0, shuffle=True, device=torch.device("cpu"))
    batch = next(iter(loader))

    optimizer = module.make_optimizer(module.parameters())
    before = [p.detach().clone() for p in module.parameters()]
    for phase in module.phases:
        phase.set_modes(module.model)
        if phase.on_start:
            phase.on_start(module.model, TrainingCodes(posterior_moments(module.model, loader), 10, seed=0))
        for _ in range(2):  # what starts at zero hides what is behind it for one
            optimizer.zero_grad()
            terms = phase.objective(module.model, batch, Progress(0.0, facts.examples))
            terms.loss.backward()
            optimizer.step()
            assert terms.loss.isfinite()
    moved = [not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True)]
    assert np.mean(moved) > 0.7

    module.eval()
    with torch.no_grad():
        numbers = evaluated(module.model, [batch], config.evaluate, data)
        assert all(np.isfinite(value).all() for value in numbers.values())
        assert ("elbo" in numbers) == module.model.has_density
        assert ("iw_log_likelihood" in numbers) == (module.model.has_density and module.model.draws_vary)
        continuous = module.model.has_density and module.model.is_continuous
        assert ("active_units" in numbers) == ("aggregated_kl" in numbers) == continuous
        assert ("code_perplexity" in numbers) != module.model.draws_vary
        assert ("bits_per_dim" in numbers) == (module.model.has_density and module.model.likelihood.discrete)
        assert module.model.sample(4).shape == (4, *data.event_shape)

    other = build_module(config, facts)
    other.load_state_dict(module.state_dict())
    torch.manual_seed(1)
    expected = module.model.sample(2)
    torch.manual_seed(1)
    assert torch.equal(other.model.sample(2), expected)
