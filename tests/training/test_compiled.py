"""The compiled training step gives the loss and the gradients of the step that is not compiled."""

import pytest
import torch

from tests.support import shapes
from tests.support.commands import FORKS
from tests.support.contract import SMALL_NETWORKS, configuration, options, pairs
from tests.support.models import START, batch_of, binary_images, binary_vae
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.objectives import ELBO, Progress
from vae_cli.objectives.annealing import LinearAnnealing
from vae_cli.training.build import build_module

LAYERED = ("bottom_up", "top_down", "graph")
# what has differed: importance weights that came back by a hook, a flow, rows that learn by one, a second derivative
REPRESENTATIVES = (("coupling", "dreg"), ("diagonal", "dreg"), ("per_example", "elbo"), ("deterministic", "aae"))


@pytest.fixture(autouse=True)
def shapes_unchecked() -> None:
    """Checks of shapes would be compiled, too."""
    shapes.check(0)


def combination(posterior: str, objective: str) -> list[str]:
    network = "conv" if objective in ("gan", "vae_gan") else "mlp"
    overrides = [f"network={network}", *SMALL_NETWORKS[network], f"objective={objective}", f"posterior={posterior}"]
    if objective in ("iwae", "stl", "dreg"):
        overrides += ["objective.samples=4"]
    if objective.startswith("vade"):
        overrides += ["prior=mixture", "prior.components=3"]
    if objective.endswith("gan"):
        overrides += ["divergence.width=8"]
    if posterior in LAYERED:
        overrides += ["model=hvae", "model.below=[4]", "model.hidden=[6]", "posterior.hidden=[6]"]
    if posterior.startswith("quantised"):
        overrides += ["codebook=ema", "codebook.codes=8", "prior=code_transformer"]
    return overrides


def step(config, batch, facts, compiled: bool) -> dict[str, torch.Tensor]:
    """The loss, all gradients, and what a step leaves in the buffers."""
    torch.manual_seed(0)
    module = build_module(config, facts)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # flows start as the identity, which hides gradients
        if config.posterior.name == "PerExampleGaussian":
            module.model.posterior.rows.normal_()
    objective = module.phases[-1].objective
    if compiled:
        torch.compiler.reset()
        objective.compile(backend="aot_eager")  # the default traces the same graphs and makes other random numbers
    torch.manual_seed(1)
    terms = objective(module.model, batch, START)
    terms.loss.backward()
    for part in module.own_optimizers:
        part.step_after_backward()
    # compiled code may put out zeros where there is no gradient
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in module.named_parameters()}
    return {"loss": terms.loss.detach(), **gradients, **dict(module.named_buffers())}


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize(
    ("posterior", "objective"),
    pairs(options("posterior"), options("objective"), among=lambda p, o: False),
)
def test_compiled_equals_eager(posterior: str, objective: str) -> None:
    try:
        config = configuration("digits", *combination(posterior, objective))
    except ConfigError:
        assert (posterior, objective) not in REPRESENTATIVES
        pytest.skip("refused")
    data = config.dataset.build().load()
    batch = next(iter(data.loader("train", batch_size=8, seed=0, shuffle=False, device=torch.device("cpu"))))
    expected, found = (step(config, batch, DatasetInfo.of(data), compiled) for compiled in (False, True))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def train_an_annealed_weight() -> None:
    model, batch = binary_vae(), batch_of(binary_images(8))
    annealing = LinearAnnealing(weights=None, start=0.0, epochs=1.0)
    eager = ELBO(annealing, beta=2.0, free_bits=0.0, samples=1)
    compiled = ELBO(annealing, beta=2.0, free_bits=0.0, samples=1)
    torch.compiler.reset()
    compiled.compile(backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for epoch in (0.0, 0.25, 0.5, 2.0):
            losses = []
            for objective in (eager, compiled):
                torch.manual_seed(0)
                losses.append(objective(model, batch, Progress(epoch, examples=8)).loss)
            torch.testing.assert_close(*losses)


def test_a_weight_that_changes_at_each_step_compiles_nothing_anew() -> None:
    """In a process whose functions are not wrapped by the check of shapes, which itself would be compiled anew."""
    process = FORKS.Process(target=train_an_annealed_weight)
    process.start()
    process.join()
    assert process.exitcode == 0
