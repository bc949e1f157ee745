import pytest
import torch
from sklearn.mixture import GaussianMixture

from vae_cli.priors import ExPost, Normal

FAMILIES = {
    "normal": lambda d: Normal(d),
    "ex_post": lambda d: ExPost(d, components=3, restarts=2, covariance_floor=1e-6),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_contract(name, latent_dim):
    prior = FAMILIES[name](latent_dim)
    p = prior()
    assert p.batch_shape == () and p.event_shape == (latent_dim,)
    z = p.sample(torch.Size((5, 7)))
    torch.testing.assert_close(p.log_prob(z), -0.5 * (z.square() + torch.log(torch.tensor(2 * torch.pi))).sum(-1))
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
