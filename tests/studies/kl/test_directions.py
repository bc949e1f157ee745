"""Losses against integrals and closed forms; which target fits which direction."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from tests.support.kl_targets import bimodal
from vae_cli.errors import UserError
from vae_cli.studies.kl.directions import Forward, Reverse
from vae_cli.studies.kl.targets import DoubleWell, Samples

WELLS = DoubleWell(depth=4.0, distance=2.0, tilt=0.2)


@pytest.mark.parametrize("target", [bimodal(), WELLS], ids=["mixture", "double well"])
def test_the_reverse_loss_is_the_integral(target) -> None:
    m, s = -1.0, 1.3

    def integrand(x: float) -> float:
        log_p = float(target.log_prob(torch.tensor(x, dtype=torch.float64)))
        return norm.pdf(x, m, s) * (norm.logpdf(x, m, s) - log_p)

    exact = quad(integrand, m - 12 * s, m + 12 * s, limit=200)[0]
    loss = Reverse(target).loss(torch.tensor(m, dtype=torch.float64), torch.tensor(math.log(s), dtype=torch.float64))
    assert loss.item() == pytest.approx(exact, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("direction", [Reverse, Forward])
def test_between_gaussians_both_are_the_closed_form(direction) -> None:
    target = bimodal(weights=(1.0,), means=(1.0,), scales=(2.0,))
    p, q = torch.distributions.Normal(1.0, 2.0), torch.distributions.Normal(-0.5, 1.5)
    exact = torch.distributions.kl_divergence(*((q, p) if direction is Reverse else (p, q))).item()
    loss = direction(target).loss(*torch.tensor([-0.5, math.log(1.5)], dtype=torch.float64))
    assert loss.item() == pytest.approx(exact, abs=1e-6 if direction is Reverse else 0.03)


def test_a_direction_that_cannot_be_evaluated_is_refused_with_the_other_one(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.arange(10.0))
    with pytest.raises(UserError, match=r"direction=reverse: .* provides only samples; use direction=forward"):
        Reverse(Samples(path=str(tmp_path / "x.npy")))
    with pytest.raises(UserError, match=r"direction=forward: .* needs draws from p, .*; use direction=reverse"):
        Forward(WELLS)


def test_a_loss_says_whether_it_is_a_divergence(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.arange(10.0))
    assert [Reverse(bimodal()).loss_name, Forward(bimodal()).loss_name] == ["KL(q || p)", "KL(p || q)"]
    assert Reverse(WELLS).loss_name == "KL(q || p) + constant"
    assert Forward(Samples(path=str(tmp_path / "x.npy"))).loss_name == "-E_p log q"
