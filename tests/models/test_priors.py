import pytest
import torch
from sklearn.mixture import GaussianMixture

from tests.support.models import IMAGE, batch_of, binary_images, small_mlp
from vae_cli.models.aggregate_posterior import information
from vae_cli.models.posteriors import Diagonal, FullCovariance
from vae_cli.models.priors import ExPostGaussianMixture, Flow, Gaussian, GaussianMixturePrior, Normal, VampPrior


def vamp(latent_dim: int, family=Diagonal, pseudo_inputs: int = 4) -> VampPrior:
    torch.manual_seed(3)  # the posterior is the model's, so that it is not in the prior's state
    return VampPrior(latent_dim, family(small_mlp(), IMAGE, latent_dim), IMAGE, pseudo_inputs=pseudo_inputs)


FAMILIES = {
    "normal": lambda d: Normal(d),
    "gaussian": lambda d: Gaussian(d),
    "flow": lambda d: Flow(d, steps=2, hidden=[8]),
    "vamp": vamp,
    "mixture": lambda d: GaussianMixturePrior(d, components=3, spread=1.0, min_scale=0.01),
    "ex_post": lambda d: ExPostGaussianMixture(d, components=3, restarts=2, covariance_floor=1e-6),
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
    prior = ExPostGaussianMixture(2, components=3, restarts=2, covariance_floor=1e-6).eval()
    prior.fit(codes, seed=0)
    oracle = (
        GaussianMixture(3, n_init=2, random_state=0).fit(codes.double().numpy()).score_samples(codes.double().numpy())
    )
    torch.testing.assert_close(prior().log_prob(codes), torch.tensor(oracle).float(), atol=1e-3, rtol=1e-4)


def test_ex_post_with_fewer_codes_than_components_gives_the_rest_no_weight():
    prior = ExPostGaussianMixture(2, components=5, restarts=1, covariance_floor=1e-3).eval()
    prior.fit(torch.randn(3, 2), seed=0)
    assert prior().mixture_distribution.probs[3:].tolist() == [0.0, 0.0]
    assert prior().sample(torch.Size((10,))).isfinite().all()


def test_a_mixture_takes_the_values_of_another_and_keeps_above_its_floor():
    prior = GaussianMixturePrior(2, components=3, spread=1.0, min_scale=0.1)
    weights, means = torch.tensor([0.2, 0.3, 0.5]), torch.randn(3, 2)
    prior.set_components(weights, means, torch.tensor([[1.0, 4.0], [0.25, 1.0], [0.0, 1e-6]]))
    p = prior()
    torch.testing.assert_close(p.mixture_distribution.probs, weights)
    torch.testing.assert_close(p.component_distribution.mean, means)
    torch.testing.assert_close(p.component_distribution.stddev[:2], torch.tensor([[1.0, 2.0], [0.5, 1.0]]))
    with torch.no_grad():
        prior.log_variances.fill_(-1e4)
    assert (prior().component_distribution.stddev >= 0.0999).all()


def test_a_flow_starts_as_the_standard_normal_and_stays_normalised():
    prior, z = Flow(2, steps=3, hidden=[8]), torch.randn(50, 2)
    torch.testing.assert_close(prior().log_prob(z), Normal(2)().log_prob(z))
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    edges = torch.linspace(-15, 15, 500)
    grid = torch.cartesian_prod(edges, edges)
    mass = prior().log_prob(grid).exp().sum() * (edges[1] - edges[0]) ** 2
    assert mass.item() == pytest.approx(1.0, abs=1e-3)
    draws = prior().sample(torch.Size((20_000,)))
    weights = (prior().log_prob(grid).exp() * (edges[1] - edges[0]) ** 2).unsqueeze(-1)
    torch.testing.assert_close(draws.mean(0), (weights * grid).sum(0), atol=0.05, rtol=0)


@pytest.mark.parametrize("family", [Diagonal, FullCovariance])
def test_vamp_is_the_average_of_the_posteriors_at_its_pseudo_inputs(family):
    prior = vamp(3, family)
    batch = batch_of(binary_images(7))
    prior.start_from([batch])
    assert torch.equal(prior.inputs, batch.x[:4])
    q = prior.shared[0](batch)
    z = torch.randn(6, 3)
    each = torch.stack([q.log_prob(point.expand(7, 3)) for point in z])[:, :4]
    torch.testing.assert_close(prior().log_prob(z), each.logsumexp(1) - torch.tensor(4.0).log())
    torch.testing.assert_close(prior().mean, q.mean[:4].mean(0))
    few = vamp(3)
    few.start_from([batch_of(batch.x[:3])])
    assert torch.equal(few.inputs[3], batch.x[0])


def test_with_the_data_as_pseudo_inputs_the_rate_is_the_mutual_information():
    batch = batch_of(binary_images(9))
    prior = vamp(2, pseudo_inputs=9)
    prior.start_from([batch])
    with torch.no_grad():
        q = prior.shared[0](batch)
        z = q.sample(torch.Size((200,)))
        found = information([q], prior(), z.flatten(0, 1), q.log_prob(z).flatten())
    assert found.aggregated_kl == pytest.approx(0, abs=1e-5)
    assert 0 < found.mutual_information < torch.tensor(9.0).log()
