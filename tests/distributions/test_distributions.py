import numpy as np
import pytest
import torch
from scipy import integrate
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from vae_cli.distributions.discretised_logistic import DiscretisedLogistic
from vae_cli.distributions.distributions import Delta
from vae_cli.distributions.gaussians import gaussian
from vae_cli.distributions.pieces import PIECE
from vae_cli.distributions.pixels import LEVELS, CategoricalLevels, ContinuousBernoulli

GRID = torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)


@pytest.mark.parametrize("logit", [-40.0, -3.0, -0.099, 0.0, 0.05, 0.101, 2.0, 40.0])
def test_continuous_bernoulli_integrates_to_one_with_the_right_mean(logit):
    q = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))

    def density(x):
        return float(q.log_prob(torch.tensor(x, dtype=torch.float64)).exp())

    total, _ = integrate.quad(density, 0, 1, points=[0.0, 1.0], epsabs=1e-10)
    mean, _ = integrate.quad(lambda x: x * density(x), 0, 1, epsabs=1e-10)
    assert total == pytest.approx(1, abs=1e-7)
    assert float(q.mean) == pytest.approx(mean, abs=1e-7)


def test_continuous_bernoulli_agrees_with_torch_where_torch_is_exact():
    logits = torch.linspace(-8, 8, 41, dtype=torch.float64)
    x = torch.rand(41, dtype=torch.float64)
    theirs = torch.distributions.ContinuousBernoulli(logits=logits).log_prob(x)
    torch.testing.assert_close(ContinuousBernoulli(logits).log_prob(x), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("logit", [-30.0, -2.0, 0.0, 5.0])
def test_continuous_bernoulli_samples_have_its_mean(logit):
    q = ContinuousBernoulli(torch.tensor(logit))
    x = q.rsample((40_000,))
    assert ((x >= 0) & (x <= 1)).all()
    assert float(x.mean()) == pytest.approx(float(q.mean), abs=6e-3)


@pytest.mark.parametrize("loc", [-0.5, 0.0, 0.37, 1.0, 1.5])
@pytest.mark.parametrize("log_scale", [-9.0, -4.0, 0.0, 3.0])
def test_discretised_logistic_sums_to_one_with_the_right_mean(loc, log_scale):
    q = DiscretisedLogistic(*(torch.tensor(v, dtype=torch.float64) for v in (loc, log_scale)))
    p = q.log_prob(GRID).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-9)
    assert float(q.mean) == pytest.approx(float((p * GRID).sum()), abs=1e-9)


def test_discretised_logistic_stays_finite_far_from_its_location():
    loc = torch.tensor(0.2, requires_grad=True)
    log_scale = torch.tensor(-7.0, requires_grad=True)
    value = DiscretisedLogistic(loc, log_scale).log_prob(torch.tensor(1.0))
    value.backward()
    assert value.isfinite() and loc.grad.isfinite() and log_scale.grad.isfinite()


def _parameters(kind, *sizes):
    torch.manual_seed(0)
    count = 1 if kind is ContinuousBernoulli else 2
    return [torch.randn(*sizes, dtype=torch.float64).requires_grad_() for _ in range(count)]


@pytest.mark.parametrize("kind", [ContinuousBernoulli, DiscretisedLogistic])
def test_gradients_in_closed_form_are_those_of_finite_differences(kind):
    x = GRID[[0, 3, 128, 254, 255]]
    assert torch.autograd.gradcheck(lambda *values: kind(*values).log_prob(x), _parameters(kind, 4, 5))


@pytest.mark.parametrize("kind", [ContinuousBernoulli, DiscretisedLogistic])
def test_an_array_is_the_sum_of_its_pieces(kind):
    """More entries than are worked on at a time, of several samples, alone and mapped over models."""
    x = GRID[torch.randint(LEVELS, (3, PIECE // 2))]
    parameters = _parameters(kind, 2, 3, PIECE // 2)
    whole = kind(*parameters).log_prob(x)
    slopes = torch.autograd.grad(whole.sum(), parameters)
    with torch.no_grad():
        torch.testing.assert_close(kind(*parameters).log_prob(x), whole)
    for sample in range(2):
        for row in range(3):
            part = [one[sample, row, :1000].detach().requires_grad_() for one in parameters]
            value = kind(*part).log_prob(x[row, :1000])
            torch.testing.assert_close(value, whole[sample, row, :1000])
            for mine, all_slopes in zip(torch.autograd.grad(value.sum(), part), slopes, strict=True):
                torch.testing.assert_close(mine, all_slopes[sample, row, :1000])
    mapped = torch.func.vmap(torch.func.grad(lambda *one: kind(*one).log_prob(x).sum(), tuple(range(len(parameters)))))
    torch.testing.assert_close(mapped(*(one.detach() for one in parameters)), slopes)


def test_discretised_logistic_samples_follow_its_probabilities():
    q = DiscretisedLogistic(torch.tensor(0.3), torch.tensor(-3.0))
    x = q.sample((50_000,))
    counts = torch.bincount((x * 255).round().long(), minlength=LEVELS) / len(x)
    assert float((counts - q.log_prob(GRID.float()).exp()).abs().sum()) < 0.06


def test_categorical_levels_sums_to_one_with_the_right_mean():
    q = CategoricalLevels(torch.randn(3, LEVELS, dtype=torch.float64))
    p = torch.stack([q.log_prob(level.expand(3)) for level in GRID]).exp()
    torch.testing.assert_close(p.sum(0), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(q.mean, (p * GRID.unsqueeze(1)).sum(0))
    assert q.sample((5,)).shape == (5, 3)


def test_kl_of_full_covariance_to_diagonal_in_closed_form():
    d = 4
    tril = torch.randn(6, d, d, dtype=torch.float64).tril(-1) + torch.diag_embed(torch.rand(6, d).double() + 0.3)
    loc = torch.randn(6, d, dtype=torch.float64)
    q = MultivariateNormal(loc, scale_tril=tril)
    p = gaussian(torch.randn(d).double(), torch.rand(d).double() + 0.5, 1)
    full = MultivariateNormal(p.base_dist.loc, covariance_matrix=torch.diag(p.base_dist.scale**2))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(q, full))


def test_kl_closed_forms_agree_with_monte_carlo():
    d = 3
    q_full = MultivariateNormal(torch.randn(d), scale_tril=torch.randn(d, d).tril(-1) + 0.8 * torch.eye(d))
    q_diagonal = gaussian(torch.randn(d), torch.rand(d) + 0.5, 1)
    p = gaussian(torch.zeros(d), torch.ones(d), 1)
    for q in (q_full, q_diagonal):
        z = q.sample((200_000,))
        terms = q.log_prob(z) - p.log_prob(z)
        error = float(terms.std() / len(terms) ** 0.5)
        assert float(kl_divergence(q, p)) == pytest.approx(float(terms.mean()), abs=5 * error)


def test_diagonal_kl_is_the_textbook_formula():
    mu, sigma = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    kl = kl_divergence(gaussian(mu, sigma, 1), gaussian(torch.zeros(3), torch.ones(3), 1))
    torch.testing.assert_close(kl, 0.5 * (sigma**2 + mu**2 - 1 - (sigma**2).log()).sum(-1))


def test_delta_is_its_code_and_has_no_density():
    code = torch.randn(4, 2)
    q = Delta(code)
    assert torch.equal(q.rsample(torch.Size((3,))), code.expand(3, 4, 2))
    with pytest.raises(NotImplementedError):
        q.log_prob(code)


def test_gaussian_log_prob_against_scipy():
    from scipy.stats import norm

    loc, scale, x = np.random.default_rng(0).normal(size=(3, 6))
    ours = gaussian(torch.tensor(loc), torch.tensor(np.exp(scale)), 1)
    assert isinstance(ours, Independent) and isinstance(ours.base_dist, Normal)
    assert float(ours.log_prob(torch.tensor(x))) == pytest.approx(norm(loc, np.exp(scale)).logpdf(x).sum())
