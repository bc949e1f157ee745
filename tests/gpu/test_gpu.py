"""Training, resumption and scoring on a GPU; tests/gpu/run.sh runs these tests and the benchmarks of a GPU."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vae_cli
from tests.support import shapes
from tests.support.commands import start
from tests.support.configs import composed
from tests.support.models import batch_of, binary_vae
from tests.support.together import FEW, SYSTEMS
from tests.support.training import interrupted, train
from vae_cli.config.sources import Sources
from vae_cli.distributions.discretised_logistic import DiscretisedLogistic
from vae_cli.distributions.pieces import PIECE
from vae_cli.distributions.pixels import LEVELS, ContinuousBernoulli
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.evaluation.estimators import iw_log_likelihood
from vae_cli.objectives import ELBO, Terms
from vae_cli.runs.checkpoints import load
from vae_cli.runs.folder import RunFolder
from vae_cli.sweeps.together import run_together
from vae_cli.training.together import Conductor

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
GPU = ["dataset=digits", "trainer.accelerator=gpu", "trainer.max_epochs=2"]


@pytest.mark.parametrize("model", Sources.find().options("model"))
def test_every_system_trains(model: str, tmp_path: Path) -> None:
    results = train(composed(f"model={model}", *GPU, "trainer.limit_batches=3"), tmp_path)
    assert results["status"] == "done" and results["starts"][-1]["gpu"] == torch.cuda.get_device_name()
    state = load(RunFolder(tmp_path).checkpoint("best"))["state_dict"]
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize("model", Sources.find().options("model"))
def test_captured_steps_are_the_eager_ones(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = [f"model={model}", *GPU, "trainer.limit_batches=9", "trainer.deterministic=true"]
    states = []
    for capture in ("true", "false"):
        train(composed(*shared, f"trainer.capture={capture}"), tmp_path / capture)
        states.append(load(RunFolder(tmp_path / capture).checkpoint("last"))["state_dict"])
    captured, eager = states
    for name, value in eager.items():
        torch.testing.assert_close(
            captured[name], value, rtol=1e-3, atol=1e-4, msg=lambda text, at=name: f"{at}: {text}"
        )
    assert "not captured" not in capsys.readouterr().err


@pytest.mark.parametrize("system", SYSTEMS)
def test_jobs_together_replay_their_steps(system: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common, *values = SYSTEMS[system]
    lines = [[*FEW, *common, value, f"seed={seed}", *GPU, "trainer.max_epochs=6"] for seed, value in enumerate(values)]
    eager = [train(composed(*line, "trainer.capture=false"), tmp_path / f"eager{n}") for n, line in enumerate(lines)]
    conductor = Conductor()
    captured = run_together(
        [partial(train, composed(*line), tmp_path / f"captured{n}") for n, line in enumerate(lines)], conductor
    )
    assert conductor.together == {"captured0": 2, "captured1": 2}
    for one, other in zip(eager, captured, strict=True):
        assert other["test/elbo"] == pytest.approx(one["test/elbo"], rel=1e-3)
    assert "not captured" not in capsys.readouterr().err


def test_a_sweep_on_a_gpu_has_one_process(tmp_path: Path) -> None:
    line = ["-m", *FEW, *GPU, "seed=0,1", "logger=none", "figures=[]", "hydra/launcher=together"]
    done = start("vae-train", *line, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("sweep: 2 jobs in 1 process, ")
    assert done.out.splitlines()[-1] == "trained together: 2 jobs in stacks of 2"


def test_a_step_that_waits_for_the_gpu_is_eager(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = train(
        composed("posterior=per_example", "dataset.binarize=static", *GPU, "trainer.limit_batches=9"), tmp_path
    )
    assert results["status"] == "done" and "(per_example.py, line " in capsys.readouterr().err


def test_a_failed_recording_leaves_the_random_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = [*GPU, "trainer.limit_batches=9", "trainer.deterministic=true"]
    eager = train(composed(*shared, "trainer.capture=false"), tmp_path / "eager")
    forward = ELBO.forward

    def waits(self: ELBO, *parts: Any) -> Terms:
        if torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()  # the check before a recording does not see it
        return forward(self, *parts)

    monkeypatch.setattr(ELBO, "forward", waits)
    failed = train(composed(*shared), tmp_path / "failed")
    assert failed["test/elbo"] == pytest.approx(eager["test/elbo"], rel=1e-4)
    assert "the library refuses" in capsys.readouterr().err


def test_weights_and_rates_change_in_captured_steps(tmp_path: Path) -> None:
    changing = ["annealing=linear", "annealing.epochs=1.5", "scheduler=cosine", "objective.beta=4"]
    rows = [
        history_of(composed(*GPU, *changing, f"trainer.capture={capture}"), tmp_path / capture)
        for capture in ("true", "false")
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of the compiler itself
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")  # its advice
def test_a_compiled_step_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes.check(0)  # checks of shapes would be compiled, too
    results = train(composed(*GPU, "trainer.compile=true"), tmp_path)
    assert results["compiled"] and np.isfinite(results["test/elbo"])
    assert "not captured" not in capsys.readouterr().err


def test_the_fastest_way_is_measured(tmp_path: Path) -> None:
    results = train(composed("trainer=fast", *GPU), tmp_path)
    assert {"measured/32-true", "measured/bf16-mixed"} <= results.keys()
    assert results["precision"] in {"32-true", "bf16-mixed"}


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_reaches_the_bound_of_float32(precision: str, tmp_path: Path) -> None:
    wide, half = (
        train(composed(*GPU, f"trainer.precision={one}", "optimizer.fused=false"), tmp_path / one)
        for one in ("32-true", precision)
    )
    assert half["test/elbo"] == pytest.approx(wide["test/elbo"], rel=0.02)


@pytest.mark.parametrize("kind", ["batch", "epoch"])
def test_an_interrupted_training_ends_as_a_whole_one(kind: str, tmp_path: Path) -> None:
    config = composed(*GPU, "trainer.deterministic=true")
    whole = train(config, tmp_path / "whole")
    parts = interrupted(config, tmp_path / "parts", kind, 1)
    assert parts["test/elbo"] == pytest.approx(whole["test/elbo"], rel=1e-5)


def test_scores_of_cpu_and_gpu_agree(tmp_path: Path) -> None:
    train(composed(*GPU), tmp_path)
    runs = [vae_cli.load(tmp_path, device=device) for device in ("cpu", "cuda")]
    x = torch.as_tensor(np.asarray(runs[0].data.test.x)[:50])
    codes, scores = zip(*((run.encode(x).mean.cpu(), run.log_likelihood(x, 1000).cpu()) for run in runs), strict=True)
    torch.testing.assert_close(*codes, rtol=1e-3, atol=1e-4)
    assert (scores[0] - scores[1]).mean().abs() < 0.1


def history_of(config: Any, folder: Path) -> list[float]:
    """Training terms of all epochs."""
    train(config, folder)
    return [float(row["train/loss"]) for row in RunFolder(folder).history()]


@pytest.mark.parametrize("kind", [ContinuousBernoulli, DiscretisedLogistic])
def test_densities_and_gradients_are_those_of_the_cpu(kind: type) -> None:
    torch.manual_seed(0)
    x = torch.randint(LEVELS, (2 * PIECE,)) / (LEVELS - 1)
    parameters = [torch.randn(2 * PIECE) for _ in range(1 + (kind is DiscretisedLogistic))]
    found = []
    for device in ("cpu", "cuda"):
        own = [one.to(device).requires_grad_() for one in parameters]
        value = kind(*own).log_prob(x.to(device))
        found.append([value.cpu(), *(one.cpu() for one in torch.autograd.grad(value.sum(), own))])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_an_estimate_that_does_not_fit_is_made_in_parts(capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = binary_vae().cuda(), batch_of(torch.zeros(1000, 1, 6, 5)).to(torch.device("cuda"))
    memory = torch.cuda.get_device_properties(0).total_memory
    chunks = AdaptiveChunks(memory // 30, 1)  # a float of each pixel of a row takes four times the memory
    draws = memory // 30 // 1000
    parts = chunks.map(
        batch, lambda part, rows: iw_log_likelihood(model, part, model.encode(part), draws, rows).log_likelihood
    )
    assert torch.cat(list(parts)).isfinite().all()
    assert chunks.count < memory // 30 and "out of memory" in capsys.readouterr().err
