import pytest
import torch
from sklearn.mixture import GaussianMixture

from vae_cli.priors import ExPost, Mixture, Normal

FAMILIES = {
    "normal": lambda d: Normal(d),
    "mixture": lambda d: Mixture(d, components=3, spread=1.0, min_scale=0.01),
    "ex_post": lambda d: ExPost(d, components=3, restarts=2, covariance_floor=1e-6),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_contract(name, latent_dim):
    prior = FAMILIES[name](latent_dim)
    p = prior()
    assert p.batch_shape == () and p.event_shape == (latent_dim,)
    z = p.sample(torch.Size((5, 7)))
    assert p.log_prob(z).shape == (5, 7)
    moved = sum(parameter.numel() for parameter in prior.parameters())
    if not moved:  # N(0, I), until it is fitted
        torch.testing.assert_close(p.log_prob(z), -0.5 * (z.square() + torch.log(torch.tensor(2 * torch.pi))).sum(-1))
    else:
        p.log_prob(z).sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())
    other = FAMILIES[name](latent_dim)
    other.load_state_dict(prior.state_dict())
    assert torch.equal(other().log_prob(z), p.log_prob(z))


def test_ex_post_is_the_mixture_that_scikit_learn_fits():
    codes = torch.cat([torch.randn(300, 2) * 0.3 + c for c in torch.tensor([[-4.0, 0.0], [4.0, 1.0], [0.0, 5.0]])])
    prior = ExPost(2, components=3, restarts=2, covariance_floor=1e-6)
    prior.fit(codes, seed=0)
    oracle = (
        GaussianMixture(3, n_init=2, random_state=0).fit(codes.double().numpy()).score_samples(codes.double().numpy())
    )
    torch.testing.assert_close(prior().log_prob(codes), torch.tensor(oracle).float(), atol=1e-3, rtol=1e-4)


def test_ex_post_with_fewer_codes_than_components_gives_the_rest_no_weight():
    prior = ExPost(2, components=5, restarts=1, covariance_floor=1e-3)
    prior.fit(torch.randn(3, 2), seed=0)
    assert prior().mixture_distribution.probs[3:].tolist() == [0.0, 0.0]
    assert prior().sample(torch.Size((10,))).isfinite().all()


def test_a_mixture_takes_the_values_of_another_and_keeps_above_its_floor():
    prior = Mixture(2, components=3, spread=1.0, min_scale=0.1)
    weights, means = torch.tensor([0.2, 0.3, 0.5]), torch.randn(3, 2)
    prior.set(weights, means, torch.tensor([[1.0, 4.0], [0.25, 1.0], [0.0, 1e-6]]))
    p = prior()
    torch.testing.assert_close(p.mixture_distribution.probs, weights)
    torch.testing.assert_close(p.component_distribution.mean, means)
    torch.testing.assert_close(p.component_distribution.stddev[:2], torch.tensor([[1.0, 2.0], [0.5, 1.0]]))
    with torch.no_grad():
        prior.log_variances.fill_(-1e4)
    assert (prior().component_distribution.stddev >= 0.0999).all()
