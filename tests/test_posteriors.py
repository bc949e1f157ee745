import pytest
import torch

from tests.builders import IMAGE, batch_of, binary_images, small_mlp
from vae_cli.posteriors import Deterministic, Diagonal, FullCovariance

FAMILIES = [Diagonal, FullCovariance, Deterministic]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_contract(family, latent_dim, tmp_path):
    posterior, batch = family(small_mlp(), IMAGE, latent_dim), batch_of(binary_images(7))
    q = posterior(batch)
    z = q.rsample(torch.Size((5,)))
    assert q.batch_shape == (7,) and q.event_shape == (latent_dim,)
    assert z.shape == (5, 7, latent_dim) and q.mean.shape == (7, latent_dim)

    value = (q.log_prob(z) if family.has_density else z.sum(-1)).sum() + z.square().sum()
    value.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in posterior.parameters())

    other = family(small_mlp(), IMAGE, latent_dim)
    other.load_state_dict(posterior.state_dict())
    assert torch.equal(other(batch).mean, q.mean)


def test_full_covariance_is_positive_definite_and_reaches_every_entry():
    posterior = FullCovariance(small_mlp(), IMAGE, 3)
    tril = posterior(batch_of(binary_images(5))).scale_tril
    assert (tril.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert (tril.triu(1) == 0).all() and (tril.tril(-1).flatten(1).abs().sum(0) > 0).sum() == 3


def test_samples_have_the_moments_they_claim():
    for family in (Diagonal, FullCovariance):
        q = family(small_mlp(), IMAGE, 3)(batch_of(binary_images(1)))
        z = q.sample(torch.Size((60_000,)))[:, 0]
        torch.testing.assert_close(z.mean(0), q.mean[0], atol=0.03, rtol=0)
        torch.testing.assert_close(z.var(0), q.variance[0], atol=0.06, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_bf16_networks_give_float32_densities(family):
    posterior, batch = family(small_mlp(), IMAGE, 3), batch_of(binary_images(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert posterior(batch).mean.dtype == torch.float32
