import pytest
import torch

from tests.support.models import IMAGE, batch_of, binary_images, small_mlp
from vae_cli.models import likelihoods

FAMILIES = {
    "bernoulli": (likelihoods.Bernoulli, {}),
    "centred_bernoulli": (likelihoods.CentredBernoulli, {}),
    "continuous_bernoulli": (likelihoods.ContinuousBernoulli, {}),
    "gaussian": (likelihoods.Gaussian, {"scale": 0.5}),
    "gaussian_learned": (likelihoods.GaussianLearned, {"scale": 0.5, "min_scale": 0.01, "per_dimension": False}),
    "gaussian_per_dimension": (likelihoods.GaussianLearned, {"scale": 0.5, "min_scale": 0.01, "per_dimension": True}),
    "gaussian_decoder": (likelihoods.GaussianDecoder, {"min_scale": 0.01}),
    "discretised_logistic": (likelihoods.DiscretisedLogistic, {}),
    "categorical": (likelihoods.Categorical, {}),
}


def data_for(family, n):
    levels = torch.randint(256, (n, *IMAGE)) / 255
    return {"binary": (levels > 0.5).float(), "levels": levels, "unit": levels, "real": levels}[family.support[0]]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("event", [IMAGE, (7,)])
def test_contract(name, event):
    family, settings = FAMILIES[name]
    likelihood = family(small_mlp(), 3, event, **settings)
    p = likelihood(torch.randn(4, 6, 3))
    assert p.batch_shape == (4, 6) and p.event_shape == event
    assert p.mean.shape == (4, 6, *event) and p.sample().shape == (4, 6, *event)
    x = p.sample()[0]
    log_px = p.log_prob(x)
    assert log_px.shape == (4, 6) and log_px.dtype == torch.float32 and log_px.isfinite().all()
    log_px.sum().backward()
    assert all(q.grad is not None and q.grad.abs().sum() > 0 for q in likelihood.parameters())

    other = family(small_mlp(), 3, event, **settings)
    other.load_state_dict(likelihood.state_dict())
    z = torch.randn(1, 2, 3)
    assert torch.equal(other(z).mean, likelihood(z).mean)


@pytest.mark.parametrize("name", FAMILIES)
def test_bf16_networks_give_float32_densities(name):
    family, settings = FAMILIES[name]
    likelihood = family(small_mlp(), 3, IMAGE, **settings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert likelihood(torch.randn(2, 5, 3)).log_prob(data_for(family, 5)).dtype == torch.float32


@pytest.mark.parametrize("name", [n for n, (family, _) in FAMILIES.items() if family.discrete])
def test_probabilities_of_all_values_of_an_entry_sum_to_one(name):
    family, settings = FAMILIES[name]
    likelihood = family(small_mlp(), 3, (1,), **settings)
    values = torch.tensor([0.0, 1.0]) if "binary" in family.support else torch.arange(256) / 255
    p = likelihood(torch.randn(1, 1, 3).expand(1, len(values), 3))
    torch.testing.assert_close(p.log_prob(values.unsqueeze(1)).logsumexp(1), torch.zeros(1), atol=1e-5, rtol=0)


def test_gaussian_decoder_keeps_its_floor():
    likelihood = likelihoods.GaussianDecoder(small_mlp(), 3, (4,), min_scale=0.1)
    with torch.no_grad():
        likelihood.decoder[-2].bias[4:] = -100
    assert float(likelihood(torch.randn(1, 5, 3)).stddev.detach().min()) == pytest.approx(0.1, rel=1e-4)


def test_a_centred_bernoulli_starts_at_the_pixel_means():
    likelihood, x = likelihoods.CentredBernoulli(small_mlp(), 3, IMAGE), binary_images(50)
    x[:, :, 0, 0] = 0.0
    likelihood.start_from([batch_of(x[:20]), batch_of(x[20:])])
    with torch.no_grad():
        likelihood.decoder[-2].weight.zero_()
        likelihood.decoder[-2].bias.zero_()
    mean = likelihood(torch.randn(1, 1, 3)).mean[0, 0]
    torch.testing.assert_close(mean, (x.sum(0) + 0.5) / 51)
