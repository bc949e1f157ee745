"""A step that is repeated by its operators equals the step itself to the last bit."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.configs import changed, composed
from tests.support.together import FEW, SYSTEMS
from tests.support.training import train
from vae_cli.batch import Batch
from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.models.model import HasOwnOptimizer, posterior_moments
from vae_cli.objectives import Progress
from vae_cli.sweeps.together import run_together
from vae_cli.training import recorded as recording
from vae_cli.training.build import build_module
from vae_cli.training.phases import TrainingCodes
from vae_cli.training.recorded import RecordedGradients, SharedPlan, gradients
from vae_cli.training.recorder import Results
from vae_cli.training.together import Conductor

EXAMPLES = 64
EAGER = 2
"""Steps before one is recorded."""
READ = {"semi_amortised", "coupling", "flow"}
"""Options whose operators depend on values, or keep a time that the profiler takes."""
OFTEN = {"vae", "vqvae", "gan", "semi_amortised"}
"""Systems that are tested each time; the others are slow tests."""
SMALL = {"vade": ["network.hidden=[16]", "initialisation=gmm"], "vamp": ["prior.pseudo_inputs=20"]}
NEEDED = {"divergence": ["model=wae"]}


@pytest.fixture(autouse=True)
def records_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "WARM_UP", EAGER)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=() if model in OFTEN else pytest.mark.slow)
        for model in Sources.find().options("model")
    ],
)
def test_the_steps_of_a_system(model: str) -> None:
    steps = steps_of(composed(f"model={model}", "dataset=digits", *SMALL.get(model, ())))
    assert all(recorded.obstacle is None and recorded.recordings for recorded in steps) == (model not in READ)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["objective", "posterior", "prior", "likelihood", "divergence", "network"])
def test_the_steps_of_other_options(group: str) -> None:
    tried = 0
    for option in Sources.find().options(group):
        try:
            config = composed(f"{group}={option}", *NEEDED.get(group, ()), "dataset=digits", *SMALL.get(option, ()))
        except ConfigError:
            continue  # an option of another model
        tried += 1
        steps = steps_of(config)
        assert all(recorded.obstacle is None for recorded in steps) == (option not in READ), option
    assert tried > 1


@pytest.mark.parametrize("overrides", [[], ["trainer.precision=bf16-mixed"], ["trainer.gradient_clip_val=0.1"]])
def test_a_training(overrides: list[str], tmp_path: Path) -> None:
    config = composed(*FEW, "dataset.batch_size=16", "annealing=linear", *overrides)
    one, other = (train(changed(config, capture=capture), tmp_path / str(capture)) for capture in (True, False))
    assert numbers(one) == numbers(other)


def test_trainings_that_differ_in_their_seeds_share_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = list[SharedPlan]()

    def made() -> SharedPlan:
        plans.append(SharedPlan())
        return plans[-1]

    monkeypatch.setattr(recording, "SharedPlan", made)
    common = (*FEW, "dataset.batch_size=16")
    configs = [composed(*common, f"seed={seed}", f"optimizer.lr=0.0{1 + seed}") for seed in range(4)]
    shared = [numbers(train(config, tmp_path / f"shared{n}")) for n, config in enumerate(configs)]
    (plan,) = plans
    assert plan.trainings == 4 and plan.functions and plan.obstacle is None
    train(composed(*common, "objective.beta=2"), tmp_path / "other")
    assert len(plans) == 2
    eager = [numbers(train(changed(config, capture=False), tmp_path / f"{n}")) for n, config in enumerate(configs)]
    assert shared == eager


@pytest.mark.parametrize("system", ["elbo", "tcvae", pytest.param("vade", marks=pytest.mark.slow)])
def test_jobs_together(system: str, tmp_path: Path) -> None:
    common, *values = SYSTEMS[system]
    results = []
    for capture in (True, False):
        configs = [
            changed(composed(*FEW, "dataset.batch_size=16", *common, value), capture=capture) for value in values
        ]
        works = [partial(train, config, tmp_path / f"{capture}{n}") for n, config in enumerate(configs)]
        results.append(list(map(numbers, run_together(works, Conductor()))))
    assert results[0] == results[1]


class Growing(nn.Module):
    """A loss that depends on something that no operator sees, or on values."""

    def __init__(self, factor: Callable[[int, Tensor], float]) -> None:
        super().__init__()
        self.weight, self.factor, self.calls = nn.Parameter(torch.ones(3)), factor, 0

    def take(self, batches: Sequence[Batch], epochs: Tensor) -> Results:
        self.calls += 1
        loss = (self.weight * batches[0].x).square().mean() * self.factor(self.calls, batches[0].x)
        return loss.detach().reshape(1, 1), gradients(loss, [self.weight])


@pytest.mark.parametrize(
    "factor",
    [lambda calls, x: 2 if calls > 9 else 1, lambda calls, x: x.mean().item(), lambda calls, x: len(x[x > 0])],
)
def test_a_step_that_operators_do_not_repeat(factor: Callable[[int, Tensor], float]) -> None:
    one, other = Growing(factor), Growing(factor)
    recorded = RecordedGradients(one.take, [one])
    for step in range(EAGER + 10):
        batch = Batch(torch.randn(5, 3, generator=torch.Generator().manual_seed(step)), torch.arange(5))
        assert_equal(recorded([batch], [0.0]), other.take([batch], torch.zeros(1)))
    assert recorded.obstacle


def test_gradients_are_those_that_backward_leaves() -> None:
    shapes = {"both": (3,), "and_both": (3,), "wide": (4, 3), "unused": (2,)}
    values = {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    x = torch.randn(5, 4)
    loss = (x @ values["wide"] + values["both"] + values["and_both"]).sum()
    found = gradients(loss, list(values.values()))
    (x @ values["wide"] + values["both"] + values["and_both"]).sum().backward()
    for one, value in zip(found, values.values(), strict=True):
        assert (one is None) == (value.grad is None)
        if one is not None and value.grad is not None:
            assert torch.equal(one, value.grad)
            assert one.stride() == value.stride()
    assert found[0] is not found[1]


def steps_of(config: TrainConfig) -> list[RecordedGradients]:
    """Recorded gradients of each phase, after steps that equal those of a copy of the model."""
    data = config.dataset.build().load()
    facts = DatasetInfo.of(data)
    torch.manual_seed(0)
    module, steps = build_module(config, facts), list[RecordedGradients]()
    loader = data.loader("train", batch_size=8, seed=0, shuffle=True, device=torch.device("cpu"))
    for phase in module.phases:
        phase.set_modes(module.model)
        if phase.on_start:
            phase.on_start(module.model, TrainingCodes(posterior_moments(module.model, loader), 10, seed=0))
        if any(isinstance(part, HasOwnOptimizer) for part in module.model.modules()):
            continue
        one, other = (deepcopy(nn.ModuleList([module.model, phase.objective])) for _ in range(2))
        recorded, expected = RecordedGradients(partial(take, one), list(one)), partial(take, other)
        for step, batch in enumerate(islice(loader, EAGER + 4)):
            results = []
            for parts, call in ((one, recorded), (other, expected)):
                torch.manual_seed(step)
                results.append(call([batch], torch.tensor([step / 4], dtype=torch.float64)))
                for parameter, gradient in zip(trained(parts), results[-1][1], strict=True):
                    if gradient is not None:
                        parameter.data -= 1e-3 * gradient
            assert_equal(*results)
        steps.append(recorded)
    return steps


def take(parts: nn.ModuleList, batches: Sequence[Batch], epochs: Tensor) -> Results:
    """A step of a model and its objective without an optimiser."""
    model, objective = parts
    terms = objective(model, batches[0], Progress(epochs[0], EXAMPLES))
    means = torch.stack([terms.loss, *terms.metrics.values()]).detach()
    return means.unsqueeze(0), gradients(terms.loss, trained(parts))


def trained(parts: nn.ModuleList) -> list[nn.Parameter]:
    return [parameter for parameter in parts.parameters() if parameter.requires_grad]


def assert_equal(one: Results, other: Results) -> None:
    for a, b in zip((one[0], *one[1]), (other[0], *other[1]), strict=True):
        assert (a is None) == (b is None)
        assert a is None or b is None or torch.equal(a, b)


def numbers(results: dict[str, Any]) -> dict[str, float]:
    """The results that do not depend on the time that a run takes."""
    return {name: value for name, value in results.items() if isinstance(value, float) and "second" not in name}


class Scaled(nn.Module):
    """A loss with a factor that no plan tells."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weight, self.factor = nn.Parameter(torch.ones(3)), factor

    def take(self, batches: Sequence[Batch], epochs: Tensor) -> Results:
        loss = (self.weight * batches[0].x).square().mean() * self.factor
        return loss.detach().reshape(1, 1), gradients(loss, [self.weight])


def test_a_recording_of_other_steps_is_found_out() -> None:
    """The plan says too little: the step that is made both ways differs."""
    for factor in (1, 1, 1, 2, 2):
        one, other = Scaled(factor), Scaled(factor)
        recorded = RecordedGradients(one.take, [one], plan="one for all")
        for step in range(recording.EARLY + 4):
            batch = Batch(torch.randn(5, 3, generator=torch.Generator().manual_seed(step)), torch.arange(5))
            assert_equal(recorded([batch], [0.0]), other.take([batch], torch.zeros(1)))
        assert bool(recorded.obstacle) == (factor == 2)
