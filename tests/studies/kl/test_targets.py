"""What is known of a target, and where it lies."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from tests.support.kl_targets import bimodal
from vae_cli.errors import UserError
from vae_cli.studies.kl.targets import DoubleWell, Mixture, Samples


def at(x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


def test_a_mixture_is_that_of_scipy() -> None:
    density = 0.6 * norm.pdf(1.3, -2.5, 0.8) + 0.4 * norm.pdf(1.3, 2.5, 0.6)
    assert bimodal().log_prob(at(1.3)).item() == pytest.approx(math.log(density))


def test_the_weights_of_a_mixture_need_not_sum_to_one() -> None:
    assert bimodal(weights=(3.0, 2.0)).log_prob(at(0.7)).item() == pytest.approx(bimodal().log_prob(at(0.7)).item())


def test_draws_are_the_same_each_time_and_leave_the_random_stream_alone() -> None:
    target = bimodal()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(target.draws(), target.draws())
    assert torch.equal(torch.rand(3), expected)
    assert target.draws().mean().item() == pytest.approx(-0.5, abs=0.06)


@pytest.mark.parametrize("tilt", [0.0, 0.3, -40.0])
def test_a_double_well_has_nearly_all_of_its_mass_within_its_span(tilt: float) -> None:
    target = DoubleWell(depth=4.0, distance=2.0, tilt=tilt)
    low, high = target.span()

    def mass(a: float, b: float) -> float:
        highest = target.log_prob(torch.linspace(low, high, 2001, dtype=torch.float64)).max()
        return quad(lambda x: (target.log_prob(at(x)) - highest).exp().item(), a, b, limit=500)[0]

    whole = mass(low, high)
    assert mass(high, high + 5) + mass(low - 5, low) < 1e-3 * whole
    assert target.log_prob(at(0.0)).item() == pytest.approx(-4.0)


@pytest.mark.parametrize("name", ["x.npy", "x.txt"])
def test_numbers_of_ones_own(name: str, tmp_path) -> None:
    numbers = np.array([3.0, -1.0, 2.5])
    np.save(tmp_path / name, numbers) if name.endswith("npy") else np.savetxt(tmp_path / name, numbers)
    target = Samples(path=str(tmp_path / name))
    assert target.draws().tolist() == numbers.tolist()
    assert target.span() == (-1.0, 3.0)


@pytest.mark.parametrize("content", ["", "a b", "1\n", "1 2\n3 4\n", "1\nnan\n", "2\n2\n2\n"])
def test_a_file_that_holds_no_numbers_is_named(content: str, tmp_path) -> None:
    (tmp_path / "x.txt").write_text(content)
    with pytest.raises(UserError, match=r"x\.txt"):
        Samples(path=str(tmp_path / "x.txt")).draws()


def test_an_array_of_objects_is_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy"):
        Samples(path=str(tmp_path / "x.npy")).draws()


def test_unequal_lists_are_refused() -> None:
    with pytest.raises(UserError, match=r"target\.weights"):
        Mixture(weights=[1.0], means=[0.0, 1.0], scales=[1.0], size=10, seed=0)
