"""Numbers that float32 cannot hold: right values as long as it can, then -inf, never NaN, and never in silence."""

import math

import mpmath
import pytest
import torch

from tests.support.configs import composed
from tests.support.evaluation import evaluated
from tests.support.models import IMAGE, batch_of, binary_images, binary_vae, small_mlp
from vae_cli.errors import UserError
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models import likelihoods, posteriors, priors
from vae_cli.models.codebooks import MovingAverages
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.networks import MLP
from vae_cli.objectives.divergences import RBFMMD, InverseMultiquadraticMMD, SlicedWasserstein

mpmath.mp.dps = 200


def logistic(outputs, x):
    """log P(k) of two outputs and its bin of width 1/255, by its definition."""
    loc, log_scale = outputs[0] + 0.5, outputs[1] - 2
    scale, half = mpmath.e**log_scale, mpmath.mpf(1) / 510

    def log_below(edge):
        return -mpmath.log1p(mpmath.e ** (-edge / scale))

    upper, lower = x + half - loc, x - half - loc
    if x < half:
        return log_below(upper)
    if x > 1 - half:
        return log_below(-lower)
    return log_below(upper) + log_below(-lower) + mpmath.log1p(-(mpmath.e ** ((lower - upper) / scale)))


def normal(loc, variance, x):
    return -((x - loc) ** 2) / variance / 2 - mpmath.log(2 * mpmath.pi * variance) / 2


def continuous_bernoulli(outputs, x):
    logit = outputs[0]
    return x * logit - (mpmath.log(mpmath.expm1(logit) / logit) if logit else 0)


CASES = {
    "bernoulli": (likelihoods.Bernoulli, {}, lambda o, x: x * o[0] - mpmath.log1p(mpmath.e ** o[0]), (0.0, 1.0)),
    "continuous": (likelihoods.ContinuousBernoulli, {}, continuous_bernoulli, (0.0, 0.25, 1.0)),
    "gaussian": (likelihoods.Gaussian, {"scale": 0.5}, lambda o, x: normal(o[0], mpmath.mpf(0.25), x), (0.3, -2.0)),
    "gaussian_decoder": (
        likelihoods.GaussianDecoder,
        {"min_scale": 0.5},
        lambda o, x: normal(o[0], mpmath.e ** o[1] + mpmath.mpf(0.25), x),
        (0.3, -2.0),
    ),
    "discretised_logistic": (likelihoods.DiscretisedLogistic, {}, logistic, (0.0, 100 / 255, 1.0)),
}
FAR = (-300.0, -95.0, -60.0, -20.0, -1.0, 0.0, 0.05, 3.0, 19.0, 70.0, 95.0, 180.0, 300.0)


@pytest.mark.parametrize("name", CASES)
def test_far_decoder_outputs_have_the_right_densities_and_gradients(name):
    """Relative to the exact value, or to 1 where that is smaller; beyond 1e25 a finite number that is as far."""
    kind, settings, exact, points = CASES[name]
    likelihood = kind(small_mlp(), 2, (1,), **settings)
    step = mpmath.mpf(10) ** -60
    for first in (-300.0, -3.0, 0.0, 0.05, 2.0, 40.0, 300.0) if kind.outputs == 2 else FAR:
        for second in FAR if kind.outputs == 2 else (0.0,):
            raw = [first, second][: kind.outputs]
            outputs = torch.tensor(raw).reshape(1, 1, -1, 1).requires_grad_()
            for x in map(float, torch.tensor(points)):
                value = likelihood.distribution(outputs).log_prob(torch.tensor([[x]])).squeeze()
                (gradient,) = torch.autograd.grad(value, outputs)
                exactly = [mpmath.mpf(o) for o in raw]
                right = exact(exactly, mpmath.mpf(x))
                assert gradient.isfinite().all() and value.isfinite(), (raw, x)
                if right < -1e25:
                    assert value < -1e25
                    continue
                assert value.item() == pytest.approx(float(right), rel=2e-3, abs=2e-5), (raw, x)
                for i, g in enumerate(gradient.flatten().tolist()):
                    moved = [o + step * (i == j) for j, o in enumerate(exactly)]
                    slope = float((exact(moved, mpmath.mpf(x)) - right) / step)
                    assert g == pytest.approx(slope, rel=5e-3, abs=1e-4), (raw, x, i)


def test_categorical_levels_far_out_are_finite():
    logits = torch.zeros(1, 1, 256, 1)
    logits[0, 0, 7] = 1e30
    logits.requires_grad_()
    values = likelihoods.Categorical(small_mlp(), 2, (1,)).distribution(logits).log_prob(torch.tensor([[7 / 255]]))
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert values.item() == 0 and gradient.isfinite().all()


@pytest.mark.parametrize("far", [0.0, 1e4, 1e6])
@pytest.mark.parametrize(
    "divergence",
    [RBFMMD(bandwidths=[1.0], unbiased=True), RBFMMD(bandwidths=None, unbiased=False),
     InverseMultiquadraticMMD(scales=[1.0], unbiased=True), SlicedWasserstein(projections=50)],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_divergences_do_not_depend_on_where_the_data_lie(divergence, far):
    """The data are those that float32 holds there, and the right value that of float64 on the same data."""
    q, p = (far + torch.randn(60, 5) for _ in range(2))
    p = p + 1.0
    values = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        points = q.to(dtype).requires_grad_()
        directions = torch.get_default_dtype()
        value = divergence(points, p.to(dtype)) if dtype == torch.float32 else None
        if value is None:
            torch.set_default_dtype(torch.float64)
            try:
                torch.manual_seed(1)
                value = divergence(points, p.to(dtype))
            finally:
                torch.set_default_dtype(directions)
        (gradient,) = torch.autograd.grad(value, points)
        values.append((value.item(), gradient.double()))
    if isinstance(divergence, SlicedWasserstein):  # whose directions are other ones in float64
        assert values[0][0] == pytest.approx(values[1][0], rel=0.3)
        return
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-4)
    assert torch.allclose(values[0][1], values[1][1], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("far", [0.0, 1e4, 1e6])
def test_nearest_codes_do_not_depend_on_where_they_lie(far):
    book = MovingAverages(3, codes=40, decay=0.9, restart_threshold=0.0)
    book.vectors.copy_(far + 3 * torch.randn(40, 3))
    points = far + 3 * torch.randn(500, 3)
    apart = (points.double().unsqueeze(1) - book.vectors.double()).square().sum(-1)
    chosen = apart.gather(1, book.nearest(points).unsqueeze(1)).squeeze(1)
    assert torch.equal(chosen, apart.min(1).values)


POSTERIORS = {
    "diagonal": posteriors.Diagonal,
    "full": posteriors.FullCovariance,
    "iaf": lambda *a: posteriors.AutoregressiveFlow(*a, steps=2, hidden=[8], context=2),
    "fixed": lambda *a: posteriors.FixedScale(*a, scale=0.1),
}


@pytest.mark.parametrize("size", [-1e5, 1e4, 1e20, 1e37])
@pytest.mark.parametrize("posterior", POSTERIORS.values(), ids=list(POSTERIORS))
def test_bounds_and_weights_of_an_outlier_are_low_and_never_nan(posterior, size):
    network = MLP(hidden=[16], activation="relu", dropout=0.0)
    likelihood = likelihoods.Gaussian(network, 3, (4,), scale=1.0)
    model = LatentVariableModel(posterior(network, (4,), 3), priors.Normal(3), likelihood, latent_dim=3).eval()
    x = torch.randn(4, 4)
    x[1, 2] = size
    batch = batch_of(x)
    with torch.no_grad():
        encoded = model.encode(batch)
        bound, weights = elbo(model, batch, encoded, 3, 100), iw_log_likelihood(model, batch, encoded, 7, 100)
    for values in (bound.elbo, bound.distortion, bound.rate, weights.log_likelihood, weights.effective_sample_size):
        assert not values.isnan().any() and values[[0, 2, 3]].isfinite().all()
    assert bound.elbo[1] < -1e4 and weights.log_likelihood[1] < -1e4 and 0 <= weights.effective_sample_size[1] <= 7.01


@pytest.mark.parametrize("log_variance", [-400.0, -150.0, 150.0, 400.0])
def test_the_rate_of_a_far_log_variance_is_that_of_its_formula(log_variance):
    """KL(N(m, s^2) || N(0, 1)) = (s^2 + m^2 - 1 - log s^2) / 2, and its gradient, where float32 holds them."""
    posterior = posteriors.Diagonal(small_mlp(), (2,), 1)
    features = torch.tensor([[0.5, log_variance]], requires_grad=True)
    posterior.encoder = torch.nn.Identity()
    model = LatentVariableModel(
        posterior, priors.Normal(1), likelihoods.Gaussian(small_mlp(), 1, (2,), scale=1.0), latent_dim=1
    )
    rate = model.trace(batch_of(features), model.encode(batch_of(features)), 1).rate
    right = 0.5 * (math.exp(log_variance) + 0.25 - 1 - log_variance)
    assert rate.item() == (pytest.approx(right, rel=1e-5) if right < 3e38 else math.inf)
    if right < 3e38:
        (gradient,) = torch.autograd.grad(rate.sum(), features)
        assert gradient[0].tolist() == pytest.approx([0.5, 0.5 * (math.exp(log_variance) - 1)], rel=1e-5)


@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_numbers_are_those_of_the_finite_rows(prior):
    """One evaluation of rows of which three overflow, and one of the others alone."""
    model = binary_vae().eval()
    if prior == "mixture":
        model.prior = priors.GaussianMixturePrior(3, components=2, spread=1.0, min_scale=1e-3)
    settings = composed("dataset=digits", "evaluate.samples=400", "evaluate.elbo_samples=200").evaluate
    x = binary_images(12)
    far = [2, 3, 11]
    x[far] = 1e36
    found = []
    for batch in (batch_of(x), batch_of(x).rows(x.flatten(1).amax(1) < 2)):
        found.append(evaluated(model, batch.split(5), settings))
    assert found[0].pop("not_finite_rows") == 3 and found[0].pop("first_not_finite_rows") == far
    assert found[0]["examples"] == 9 and found[0].keys() == found[1].keys()
    for name in ("elbo", "iw_log_likelihood", "distortion", "rate", "reconstruction_error", "active_units"):
        assert found[0][name] == pytest.approx(found[1][name], rel=0.02)
    assert all(math.isfinite(v) for v in found[0].values() if isinstance(v, float))


def test_where_no_row_is_finite_the_numbers_are_not_either():
    settings = composed("dataset=digits", "evaluate.samples=2").evaluate
    found = evaluated(binary_vae().eval(), [batch_of(torch.full((3, *IMAGE), 1e36))], settings)
    assert found["not_finite_rows"] == 3 and found["examples"] == 0 and math.isnan(found["elbo"])


def test_an_ex_post_mixture_leaves_out_codes_that_are_not_finite(capsys):
    prior = priors.ExPostGaussianMixture(2, components=2, restarts=1, covariance_floor=1e-6).eval()
    codes = torch.randn(50, 2)
    codes[7, 1] = math.nan
    prior.fit(codes, 0)
    other = priors.ExPostGaussianMixture(2, components=2, restarts=1, covariance_floor=1e-6).eval()
    other.fit(torch.cat([codes[:7], codes[8:]]), 0)
    assert torch.equal(prior().mean, other().mean)
    assert "row 7 of the training split" in capsys.readouterr().err
    with pytest.raises(UserError, match="no code of a training example is finite"):
        prior.fit(torch.full((3, 2), math.inf), 0)
