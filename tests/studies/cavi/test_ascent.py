"""Every step gains, or the ascent says which did not; vae-cavi as a command."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.commands import fork
from vae_cli.errors import UserError
from vae_cli.studies.cavi.ascent import Study, ascend
from vae_cli.studies.cavi.gaussian import CorrelatedGaussian
from vae_cli.studies.cavi.mixture import GaussianMixture

STUDIES = {
    "gaussian": lambda: CorrelatedGaussian(mean=[0.0, 1.0], covariance=[[1.0, 0.95], [0.95, 1.0]], start=[3.0, -3.0]),
    "mixture": lambda: GaussianMixture(path=None, components=5, concentration=0.1, precision=1.0, seed=2),
}


@pytest.mark.parametrize("name", STUDIES)
def test_no_step_loses(name: str) -> None:
    steps = ascend(STUDIES[name](), sweeps=2000, tolerance=1e-9)
    gains = [after.elbo - before.elbo for before, after in pairwise(steps)]
    assert min(gains) > -1e-9 * abs(steps[-1].elbo) and sum(gains) > 0.1


class Falling(CorrelatedGaussian):
    def sweep(self) -> Iterator[str]:
        self.path.append(self.path[-1] + 1.0)
        yield "q(x1)"


def test_a_step_that_loses_is_named() -> None:
    study: Study = Falling(mean=[0.0, 0.0], covariance=[[1.0, 0.0], [0.0, 1.0]], start=[1.0, 1.0])
    with pytest.raises(UserError, match=r"fell by .* nats at step 1, q\(x1\)"):
        ascend(study, sweeps=3, tolerance=0.0)


@pytest.mark.parametrize("name", STUDIES)
def test_a_sweep_that_gains_nothing_is_the_last_at_a_tolerance_of_nothing(name: str) -> None:
    steps = ascend(STUDIES[name](), sweeps=5000, tolerance=0.0)
    exact = ascend(STUDIES[name](), sweeps=5000, tolerance=1e-9)
    assert steps[-1].elbo == pytest.approx(exact[-1].elbo, abs=1e-6)


def test_too_few_sweeps_are_said() -> None:
    with pytest.raises(UserError, match=r"sweeps=1: .* raise either"):
        ascend(STUDIES["gaussian"](), sweeps=1, tolerance=1e-9)


@pytest.mark.parametrize("study", ["correlated_gaussian", pytest.param("gaussian_mixture", marks=pytest.mark.slow)])
def test_the_command_writes_every_step_and_a_picture(study: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    done = fork("vae-cavi", f"study={study}", "out=here", folder=work)
    assert (done.code, done.err) == (0, "")
    written = json.loads((work / "here" / "ascent.json").read_text())
    elbos = [step["elbo"] for step in written["steps"]]
    assert f"{elbos[-1]:.6f} nats after {len(elbos) - 1} steps" in done.out
    assert (work / "here" / "ascent.png").stat().st_size > 10_000
    again = fork("vae-cavi", f"study={study}", "out=here", folder=work)
    assert (again.code, again.err.count("\n")) == (1, 1) and "out=here" in again.err
