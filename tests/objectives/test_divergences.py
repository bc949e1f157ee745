"""Divergences between samples against closed forms and double loops."""

import math

import pytest
import torch

from vae_cli.objectives.divergences import RBFMMD, InverseMultiquadraticMMD, SlicedWasserstein

DIVERGENCES = {
    "rbf": lambda: RBFMMD(bandwidths=[0.5, 1.0, 2.0], unbiased=False),
    "rbf unbiased": lambda: RBFMMD(bandwidths=[1.0], unbiased=True),
    "median": lambda: RBFMMD(bandwidths=None, unbiased=False),
    "imq": lambda: InverseMultiquadraticMMD(scales=[0.5, 1.0], unbiased=False),
    "sliced": lambda: SlicedWasserstein(projections=20),
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_contract(name):
    """A scalar; larger for samples further apart; its gradient moves q towards p."""
    divergence, p = DIVERGENCES[name](), torch.randn(200, 3)
    near, far = torch.randn(200, 3), (torch.randn(200, 3) + 2).requires_grad_()
    value = divergence(far, p)
    assert value.shape == () and value > divergence(near, p)
    value.backward()
    assert far.grad.isfinite().all() and (far.grad.mean(0) > 0).all()
    assert divergence(p, p).item() == pytest.approx(0.0, abs=0.05)


def expected_kernel(h: float, s1: float, s2: float, shift: float, d: int) -> float:
    """E k of an RBF kernel between N(0, s1^2 I) and N(m, s2^2 I), |m| = shift."""
    total = h**2 + s1**2 + s2**2
    return (h**2 / total) ** (d / 2) * math.exp(-(shift**2) / (2 * total))


def test_rbf_mmd_between_gaussians_is_the_closed_form():
    d, h, shift, s1, s2 = 3, 1.3, 1.0, 0.7, 1.2
    q = s1 * torch.randn(6000, d, dtype=torch.float64)
    p = s2 * torch.randn(6000, d, dtype=torch.float64) + shift / d**0.5
    exact = (
        expected_kernel(h, s1, s1, 0, d) + expected_kernel(h, s2, s2, 0, d) - 2 * expected_kernel(h, s1, s2, shift, d)
    )
    divergence = RBFMMD(bandwidths=[h], unbiased=True)
    estimates = [divergence(*parts).item() for parts in zip(q.split(1000), p.split(1000), strict=True)]
    assert sum(estimates) / len(estimates) == pytest.approx(exact, abs=0.005)


def test_the_unbiased_estimate_is_zero_on_average_and_the_biased_one_is_not():
    d, h, m = 2, 1.0, 20
    values = {unbiased: [] for unbiased in (True, False)}
    for _ in range(800):
        q, p = torch.randn(m, d), torch.randn(m, d)
        for unbiased, found in values.items():
            found.append(RBFMMD(bandwidths=[h], unbiased=unbiased)(q, p))
    means = {unbiased: torch.stack(found).mean().item() for unbiased, found in values.items()}
    errors = {unbiased: torch.stack(found).std().item() / 800**0.5 for unbiased, found in values.items()}
    assert abs(means[True]) < 4 * errors[True] and min(values[True]) < 0
    bias = 2 / m * (1 - expected_kernel(h, 1.0, 1.0, 0.0, d))
    assert abs(means[False] - bias) < 4 * errors[False]


def test_inverse_multiquadratic_by_a_double_loop():
    q, p, scales = torch.randn(4, 3), torch.randn(5, 3) + 1, [0.5, 2.0]

    def kernel(a, b):
        return sum(6 * s**2 / (6 * s**2 + (a - b).square().sum().item()) for s in scales) / len(scales)

    def mean(first, second):
        return sum(kernel(a, b) for a in first for b in second) / (len(first) * len(second))

    ours = InverseMultiquadraticMMD(scales=scales, unbiased=False)(q, p).item()
    assert ours == pytest.approx(mean(q, q) + mean(p, p) - 2 * mean(q, p), abs=1e-5)


def test_the_median_heuristic_does_not_depend_on_the_unit():
    q, p = torch.randn(50, 2), torch.randn(50, 2) + 1
    divergence = RBFMMD(bandwidths=None, unbiased=True)
    torch.testing.assert_close(divergence(q, p), divergence(100 * q, 100 * p), rtol=1e-3, atol=1e-5)


def test_sliced_wasserstein_of_a_shift_is_its_squared_length_over_the_dimensions():
    q = torch.randn(500, 4)
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0])
    value = SlicedWasserstein(projections=4000)(q + shift, q).item()
    assert value == pytest.approx(shift.square().sum().item() / 4, rel=0.1)


def test_a_batch_of_one_has_a_finite_mmd():
    q, p = torch.zeros(1, 2), torch.ones(1, 2)
    mmd = RBFMMD(bandwidths=[1.0], unbiased=True)
    assert mmd(q, q).item() == 0
    assert mmd(q, p).item() == pytest.approx(2 - 2 * math.exp(-1))
