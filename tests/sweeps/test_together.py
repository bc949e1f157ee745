"""Jobs that take their steps together give the numbers that they give alone."""

from functools import partial
from itertools import count
from pathlib import Path
from signal import SIGTERM

import pytest
import torch

from tests.support.configs import composed
from tests.support.together import FEW, SYSTEMS
from tests.support.training import train
from vae_cli.commands.failure import Failure, attempt
from vae_cli.distributed.signals import Deferral, Terminated
from vae_cli.runs import checkpoints
from vae_cli.sweeps import together
from vae_cli.sweeps.together import run_together
from vae_cli.training.together import Conductor, seat


@pytest.mark.parametrize("system", SYSTEMS)
def test_jobs_together_and_alone(system: str, tmp_path: Path) -> None:
    common, *values = SYSTEMS[system]
    configs = [composed(*FEW, *common, value, f"seed={seed}") for seed, value in enumerate(values)]
    alone = [train(config, tmp_path / f"alone{n}") for n, config in enumerate(configs)]
    conductor = Conductor()
    beside = run_together(
        [partial(train, config, tmp_path / f"together{n}") for n, config in enumerate(configs)], conductor
    )
    assert conductor.together == {"together0": 2, "together1": 2}
    for n in range(2):
        paths = [tmp_path / f"{name}{n}" / "checkpoints" / "last.ckpt" for name in ("alone", "together")]
        one, other = map(checkpoints.load, paths)
        for name, value in one["state_dict"].items():
            torch.testing.assert_close(other["state_dict"][name], value, rtol=1e-4, atol=1e-5, msg=name)
        assert beside[n]["test/elbo"] == pytest.approx(alone[n]["test/elbo"], rel=1e-5)


def test_jobs_go_on_together_when_a_shorter_one_has_ended(tmp_path: Path) -> None:
    scalar = ["likelihood=gaussian_learned", "likelihood.per_dimension=false", "dataset.binarize=none"]
    configs = [composed(*FEW, *scalar, f"trainer.max_epochs={epochs}", f"seed={epochs}") for epochs in (1, 2, 2)]
    alone = [train(config, tmp_path / f"alone{n}") for n, config in enumerate(configs)]
    beside = run_together(
        [partial(train, config, tmp_path / f"together{n}") for n, config in enumerate(configs)], Conductor()
    )
    for one, other in zip(alone, beside, strict=True):
        assert other["test/elbo"] == pytest.approx(one["test/elbo"], rel=1e-5)


def test_a_job_that_diverges_or_fits_no_other_leaves_the_others(tmp_path: Path) -> None:
    lines = [["objective.beta=1"], ["objective.beta=2"], ["optimizer.lr=1e30"], ["objective.samples=2"]]
    works = [partial(train, composed(*FEW, *line), tmp_path / f"job{n}") for n, line in enumerate(lines)]
    conductor = Conductor()
    ends = run_together([partial(attempt, work) for work in works], conductor)
    assert isinstance(ends[2], Failure) and "the loss became" in ends[2].message
    assert all(ends[n]["train/epochs"] == 2 for n in (0, 1, 3))
    assert conductor.together == {"job0": 3, "job1": 3, "job2": 3}
    assert list(conductor.alone) == ["job3"]


def test_no_job_begins_after_a_signal() -> None:
    signals, begun = Deferral(), list[int]()
    signals.asked = SIGTERM
    with pytest.raises(Terminated):
        run_together([partial(begun.append, 0)], Conductor(), signals=signals)
    assert begun == []


@pytest.mark.parametrize(("processes", "at_once"), [(1, 8), (2, 3), (4, 1)])
def test_processes_share_the_memory(processes: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten units are free all the time, a job takes one, and three are kept for each process."""
    monkeypatch.setattr(together, "_free_memory", lambda: 10)
    monkeypatch.setattr(together, "_taken_memory", count().__next__)
    steps = list[str]()

    def work() -> None:
        place = seat.get()
        assert place
        steps.append("begin")
        place.pause()
        steps.append("end")

    run_together([work] * (at_once + 1), Conductor(), processes=processes)
    assert steps == ["begin"] * at_once + ["end"] * at_once + ["begin", "end"]
