"""Importance-weighted objectives on models whose posterior is exact."""

import pytest
import torch

from tests.builders import batch_of, binary_images, binary_vae, linear_vae
from vae_cli import posteriors
from vae_cli.divergences import RBFMMD
from vae_cli.objectives import ELBO, IWAE, DoublyReparameterised, InfoVAE, StickingTheLanding

KINDS = (IWAE, StickingTheLanding, DoublyReparameterised)


def gradients(model, objective, batch, draws: int = 1) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for _ in range(draws):
        (objective(model, batch).loss / draws).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_is_the_elbo_and_more_never_fall_below_it(kind):
    model, batch = binary_vae(), batch_of(binary_images(16))
    bounds = {}
    for k in (1, 5, 50):
        torch.manual_seed(0)
        values = [float(kind(samples=k)(model, batch).loss.detach()) for _ in range(200)]
        bounds[k] = -sum(values) / len(values)
    settings = {"beta": 1.0, "free_bits": 0.0, "samples": 2000}
    assert bounds[1] == pytest.approx(-float(ELBO(**settings)(model, batch).loss.detach()), abs=0.1)
    assert bounds[1] < bounds[5] < bounds[50]


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("k", [1, 7])
def test_at_the_exact_posterior_the_encoder_has_no_gradient(kind, k):
    model = linear_vae(posteriors.FullCovariance)
    batch = batch_of(torch.randn(20, 5))
    found = gradients(model, kind(samples=k), batch)
    plain = gradients(model, IWAE(samples=k), batch)
    for name, gradient in found.items():
        if name.startswith("posterior"):
            assert gradient.abs().max() < 1e-3 * max(1.0, plain[name].abs().max().item()), name


def test_the_doubly_reparameterised_gradient_is_unbiased():
    model = linear_vae(posteriors.Diagonal)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    batch = batch_of(torch.randn(30, 5).repeat(100, 1))  # a hundred draws at once
    expected, ours = (gradients(model, kind(samples=4), batch, 30) for kind in (IWAE, DoublyReparameterised))
    for name in expected:
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(ours[name], expected[name], atol=0.08 * scale, rtol=0.1, msg=name)


def test_info_vae_contains_the_elbo_and_beta_vae():
    model, batch = binary_vae(), batch_of(binary_images(16))
    divergence = RBFMMD(bandwidths=None, unbiased=True)
    for alpha, lambda_, beta in ((0.0, 1.0, 1.0), (-3.0, 4.0, 4.0), (0.5, 0.5, 0.5)):
        torch.manual_seed(1)
        ours = InfoVAE(divergence, alpha=alpha, lambda_=lambda_, samples=2)(model, batch)
        torch.manual_seed(1)
        theirs = ELBO(beta=beta, free_bits=0.0, samples=2)(model, batch)
        torch.testing.assert_close(ours.loss, theirs.loss)
        torch.testing.assert_close(ours.metrics["elbo"], theirs.metrics["elbo"])
    torch.manual_seed(1)
    wae = InfoVAE(divergence, alpha=1.0, lambda_=10.0, samples=1)(binary_vae(posteriors.Deterministic), batch)
    torch.testing.assert_close(wae.loss, wae.metrics["distortion"] + 10 * wae.metrics["divergence"])
    assert "elbo" not in wae.metrics
