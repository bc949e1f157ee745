"""A step that makes the host wait for a GPU cannot be recorded; these are found on a CPU by their operators."""

import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.configs import composed
from tests.support.together import FEW, SYSTEMS
from tests.support.training import train
from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.models.model import posterior_moments
from vae_cli.objectives import Progress
from vae_cli.sweeps.together import run_together
from vae_cli.training.build import build_module
from vae_cli.training.joint import Joint
from vae_cli.training.phases import TrainingCodes
from vae_cli.training.together import Conductor

aten = torch.ops.aten
WAITS = {
    aten._local_scalar_dense.default: "reads a number",
    aten.nonzero.default: "has as many results as the numbers say",
    aten.masked_select.default: "has as many results as the numbers say",
    aten.bincount.default: "looks for the largest number",
    aten.normal.Tensor_Tensor: "looks for a negative scale",
    aten.lift_fresh.default: "copies numbers of Python",
}

COUNTS_ON_A_CPU = "refinement.py"
"""Its optimiser counts steps where the parameters are."""

CHECKED_ON_A_CPU = "joint.py"
"""Its losses are read before each step where that does not wait."""

NEEDED = {"divergence": ["model=wae"]}
SMALL = {"vade": ["network.hidden=[16]", "initialisation=gmm"]}
WAITING = {"per_example", "coupling", "flow"}
"""Options whose steps stay eager."""


class Waits(TorchDispatchMode):
    """Collects the operators of WAITS, each with the line of vae_cli from which it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.found = list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WAITS:
            lines = [f"{one.filename}:{one.lineno}" for one in traceback.extract_stack() if "/vae_cli/" in one.filename]
            self.found.append(f"{lines[-1:]}: {func} {WAITS[func]}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", Sources.find().options("model"))
def test_no_step_of_a_system_waits_for_the_device(model: str) -> None:
    assert not waits_of(composed(f"model={model}", "dataset=digits", *SMALL.get(model, ())))


@pytest.mark.slow
@pytest.mark.parametrize("group", ["objective", "posterior", "prior", "likelihood", "divergence"])
def test_no_other_option_waits_for_the_device(group: str) -> None:
    tried = 0
    for option in Sources.find().options(group):
        try:
            config = composed(f"{group}={option}", *NEEDED.get(group, ()), "dataset=digits")
        except ConfigError:
            continue  # an option of another model
        tried += 1
        assert option in WAITING or not waits_of(config), option
    assert tried > 1


@pytest.mark.parametrize("system", ["elbo", "tcvae", pytest.param("infovae", marks=pytest.mark.slow)])
def test_no_step_of_jobs_together_waits_for_the_device(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common, *values = SYSTEMS[system]
    watch, take = Waits(), Joint._take

    def watched(self: Joint, batches: Any, epochs: Any) -> Any:
        epochs = torch.tensor(epochs)
        with watch:
            return take(self, batches, epochs)

    monkeypatch.setattr(Joint, "_take", watched)
    works = [partial(train, composed(*FEW, *common, value), tmp_path / value) for value in values]
    conductor = Conductor()
    run_together(works, conductor)
    assert conductor.together == dict.fromkeys(values, 2)
    assert not [one for one in watch.found if CHECKED_ON_A_CPU not in one]


def waits_of(config: TrainConfig) -> list[str]:
    """The operators that wait in a step of each phase of a training."""
    data = config.dataset.build().load()
    facts = DatasetInfo.of(data)
    module = build_module(config, facts)
    loader = data.loader("train", batch_size=8, seed=0, shuffle=True, device=torch.device("cpu"))
    batch, waits = next(iter(loader)), Waits()
    for phase in module.phases:
        phase.set_modes(module.model)
        if phase.on_start:
            phase.on_start(module.model, TrainingCodes(posterior_moments(module.model, loader), 10, seed=0))
        with waits:
            phase.objective(module.model, batch, Progress(0.0, facts.examples)).loss.backward()
    return [one for one in waits.found if COUNTS_ON_A_CPU not in one]
