"""Minima against grids and moments."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import minimum_filter

from tests.support.kl_targets import bimodal
from vae_cli.studies.kl.directions import Forward, Reverse
from vae_cli.studies.kl.minima import Minimum, minima
from vae_cli.studies.kl.targets import DoubleWell, Samples


def test_the_reverse_direction_has_a_minimum_at_each_mode_and_prefers_the_heavier() -> None:
    found = minima(Reverse(bimodal()), starts=9)
    assert [one.mean for one in found] == pytest.approx([-2.5, 2.5], abs=0.05)
    assert [one.scale for one in found] == pytest.approx([0.8, 0.6], abs=0.05)
    assert [one.loss for one in found] == pytest.approx([-math.log(0.6), -math.log(0.4)], abs=0.02)
    assert sum(one.starts for one in found) <= 18


@pytest.mark.parametrize(
    "target",
    [bimodal((0.5, 0.3, 0.2), (-4.0, 0.0, 3.5), (0.7, 0.9, 0.5)), DoubleWell(depth=4.0, distance=2.0, tilt=0.2)],
    ids=["trimodal", "double well"],
)
def test_the_reverse_minima_are_those_of_a_grid(target) -> None:
    direction = Reverse(target)
    m, log_s = torch.linspace(-6, 6, 121, dtype=torch.float64), torch.linspace(-2, 1.5, 71, dtype=torch.float64)
    loss = torch.stack([direction.loss(one.expand_as(log_s), log_s) for one in m]).numpy()
    rows, columns = np.nonzero(loss[1:-1, 1:-1] == minimum_filter(loss, 3)[1:-1, 1:-1])
    grid = sorted((m[i + 1].item(), math.exp(log_s[j + 1].item())) for i, j in zip(rows, columns, strict=True))
    found = sorted((one.mean, one.scale) for one in minima(direction, starts=9))
    assert found == [pytest.approx(one, abs=0.1) for one in grid]


def test_the_forward_direction_has_one_minimum_with_the_moments_of_the_target() -> None:
    target = bimodal()
    (one,) = minima(Forward(target), starts=9)
    x = target.draws()
    assert (one.mean, one.scale) == pytest.approx((x.mean().item(), x.std(correction=0).item()), abs=1e-5)
    mixture = target.distribution
    assert (one.mean, one.scale) == pytest.approx((mixture.mean.item(), mixture.stddev.item()), abs=0.05)
    assert one.starts == 18


AFAR = [(1.7e9, 3.5e3), (0.0, 1e8), (-3.0, 1e-8), (1e6, 1.0)]
"""Where a target may lie, and how wide it may be: Unix times are the first."""


@pytest.mark.parametrize(("location", "width"), AFAR)
def test_the_forward_minimum_is_that_of_the_moments_wherever_the_numbers_lie(location, width, tmp_path) -> None:
    x = location + width * np.random.default_rng(0).normal(size=1000)
    np.save(tmp_path / "x.npy", x)
    (one,) = minima(Forward(Samples(path=str(tmp_path / "x.npy"))), starts=9)
    assert one.mean == pytest.approx(x.mean(), rel=0, abs=1e-5 * x.std())
    assert one.scale == pytest.approx(x.std(), rel=1e-5)
    assert one.starts == 18


@cache
def near_minima(direction: type[Reverse] | type[Forward]) -> list[Minimum]:
    return minima(direction(bimodal()), starts=9)


@pytest.mark.parametrize("direction", [Reverse, Forward])
@pytest.mark.parametrize(("location", "width"), AFAR)
def test_minima_move_and_widen_with_the_target(direction, location: float, width: float) -> None:
    """KL does not change when p and q are moved or widened together."""
    afar = bimodal(means=(location - 2.5 * width, location + 2.5 * width), scales=(0.8 * width, 0.6 * width))
    near, found = near_minima(direction), minima(direction(afar), starts=9)
    assert len(found) == len(near)
    for one, other in zip(found, near, strict=True):
        assert (one.mean - location) / width == pytest.approx(other.mean, abs=1e-4)
        assert one.scale / width == pytest.approx(other.scale, rel=1e-4)
        assert one.loss == pytest.approx(other.loss, abs=1e-6)
        assert one.starts == other.starts


def test_narrow_modes_far_apart_are_each_a_reverse_minimum() -> None:
    """Between them the density is nothing: each mode is a Gaussian alone, and the loss there -log of its weight."""
    modes = minima(Reverse(bimodal(means=(-1e4, 1e4), scales=(1.0, 1.0))), starts=2)
    assert [one.mean for one in modes] == pytest.approx([-1e4, 1e4], abs=1e-3)
    assert [one.scale for one in modes] == pytest.approx([1.0, 1.0], abs=1e-3)
    assert [one.loss for one in modes] == pytest.approx([-math.log(0.6), -math.log(0.4)], abs=1e-4)
