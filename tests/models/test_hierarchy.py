"""Layers of latents against an exact linear-Gaussian chain, and the contract of every graph and top prior."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

import vae_cli
from tests.support.configs import composed
from tests.support.evaluation import evaluated
from tests.support.models import IMAGE, START, batch_of, binary_images, small_mlp
from tests.support.training import train
from vae_cli.distributed.shard import BatchShard, shard_context
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood, prior_proposal
from vae_cli.models import likelihoods, priors
from vae_cli.models.hierarchy import BottomUp, HierarchicalVAE, StructuredPosterior, TopDown
from vae_cli.models.networks import Linear
from vae_cli.objectives import ELBO

NETS = {"hidden": [7], "activation": "tanh"}
INFERENCE = {
    "bottom_up": BottomUp,
    "top_down": TopDown,
    "graph": lambda *parts, **nets: StructuredPosterior(
        *parts, parents={"z1": ["x"], "z2": ["z1"], "z3": ["x", "z1", "z2"]}, **nets
    ),
}
GENERATION = {"chain": None, "skip": {"x": ["z1", "z3"], "z1": ["z2", "z3"], "z2": ["z3"]}}
TOPS = {
    "normal": priors.Normal,
    "gaussian": priors.Gaussian,
    "mixture": lambda d: priors.GaussianMixturePrior(d, components=3, spread=1.0, min_scale=1e-3),
    "flow": lambda d: priors.Flow(d, steps=2, hidden=[8]),
}
LAYERS = [4, 3, 2]


def hierarchy(inference="bottom_up", generation="chain", top="normal") -> HierarchicalVAE:
    posterior = INFERENCE[inference](small_mlp(), IMAGE, LAYERS, **NETS)
    read = 6 if generation == "skip" else 4
    return HierarchicalVAE(
        posterior,
        TOPS[top](2),
        likelihoods.Bernoulli(small_mlp(), read, IMAGE),
        latent_dim=2,
        below=[4, 3],
        generation=GENERATION[generation],
        **NETS,
    )


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("generation", GENERATION)
@pytest.mark.parametrize("inference", INFERENCE)
def test_contract(inference: str, generation: str, top: str) -> None:
    model, batch = hierarchy(inference, generation, top), batch_of(binary_images(5))
    q = model.encode(batch)
    trace = model.trace(batch, q, 6)
    z = torch.cat([latent.z for latent in trace.latents], -1)
    assert z.shape == (6, 5, 9) and q.mean.shape == q.variance.shape == (5, 9)
    joint = model.decode(z).log_prob(batch.x) + model.prior().log_prob(z)
    torch.testing.assert_close(trace.log_weight, joint - q.log_prob(z))

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # a flow starts as the identity, which hides gradients
    terms = ELBO(beta=1.0, free_bits=0.0, samples=2)(model, batch, START)
    assert terms.metrics["rate"] == sum(terms.metrics[f"rate_z{j}"] for j in (1, 2, 3))
    terms.loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    q = model.encode(batch)
    bound = elbo(model, batch, q, 4, rows=7)
    torch.testing.assert_close(bound.rate, sum(bound.rates))
    for encoded in (
        prior_proposal(model, batch),
        torch.distributions.Independent(torch.distributions.Normal(z[0], 1), 1),
    ):
        assert iw_log_likelihood(model, batch, encoded, 5, rows=10).log_likelihood.isfinite().all()
    assert model.sample(3).shape == (3, *IMAGE)

    other = hierarchy(inference, generation, top)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.encode(batch).mean, q.mean)


@torch.no_grad()
def linear_chain(inference: str) -> tuple[HierarchicalVAE, MultivariateNormal, torch.Tensor]:
    """z2 -> z1 -> x, all linear and Gaussian, q its exact posterior; the exact p(x), and draws of x."""
    a, c, s1, s = 1.3, 0.4, 0.6, 0.8
    w, b = torch.tensor([[0.9], [-1.2], [0.5]]), torch.tensor([0.1, -0.3, 0.2])
    nets = {"hidden": [], "activation": "tanh"}
    model = HierarchicalVAE(
        {"bottom_up": BottomUp, "top_down": TopDown}[inference](Linear(), (3,), [1, 1], **nets),
        priors.Normal(1),
        likelihoods.Gaussian(Linear(), 1, (3,), scale=s),
        latent_dim=1,
        below=[1],
        generation=None,
        **nets,
    )
    model.likelihood.decoder[0].weight.copy_(w)
    model.likelihood.decoder[0].bias.copy_(b)

    def affine(layer: torch.nn.Linear, weight: torch.Tensor, bias: float, variance: float) -> None:
        """N(weight . input + bias, variance)."""
        layer.weight.copy_(torch.stack([weight, torch.zeros_like(weight)]))
        layer.bias.copy_(torch.tensor([bias, variance]).log().where(torch.tensor([False, True]), torch.tensor(bias)))

    conditionals = model.prior.conditionals
    affine(conditionals["z1"].network[0], torch.tensor([a]), c, s1**2)
    seen = w[:, 0] / s**2
    if inference == "bottom_up":
        precision = 1 / (a**2 + s1**2) + float(seen @ w[:, 0])
        bias = c / (a**2 + s1**2) - float(seen @ b)
        affine(model.posterior.encoders["z1"][1], seen / precision, bias / precision, 1 / precision)
        precision = 1 + a**2 / s1**2
        weight = torch.tensor([a / s1**2 / precision])
        affine(model.posterior.conditionals["z2"].network[0], weight, -c * float(weight), 1 / precision)
    else:
        noise = torch.linalg.inv(s1**2 * w @ w.T + s**2 * torch.eye(3))  # of x given z2
        column = a * (w[:, 0] @ noise)
        precision = 1 + float(a * column @ w[:, 0])
        mean = -float(column @ (b + c * w[:, 0])) / precision
        affine(model.posterior.encoders["z2"][1], column / precision, mean, 1 / precision)
        precision = 1 / s1**2 + float(seen @ w[:, 0])
        features = model.posterior.encoders["z1"][1]  # two of them; the first is all that is needed
        affine(features, seen / precision, -float(seen @ b) / precision, 1.0)
        weight = torch.tensor([1.0, 0.0, a / s1**2 / precision])
        affine(model.posterior.conditionals["z1"].network[0], weight, c / s1**2 / precision, 1 / precision)
    covariance = (a**2 + s1**2) * w @ w.T + s**2 * torch.eye(3)
    marginal = MultivariateNormal(w[:, 0] * c + b, covariance)
    return model, marginal, marginal.sample(torch.Size((20,)))


@pytest.mark.parametrize("inference", ["bottom_up", "top_down"])
def test_the_aggregated_variance_is_that_of_z_whatever_the_layers_above_add(inference):
    """Under its exact posterior q(z) is p(z), whose variances are 1 and a^2 + s_1^2."""
    model, marginal, _ = linear_chain(inference)
    config = composed("model=hvae", "evaluate.samples=1", "evaluate.elbo_samples=1").evaluate
    numbers = evaluated(model, [batch_of(marginal.sample(torch.Size((4000,))))], config)
    assert numbers["aggregated_variance"] == pytest.approx((1 + 1.3**2 + 0.6**2) / 2, rel=0.05)


@pytest.mark.parametrize("inference", ["bottom_up", "top_down"])
def test_with_the_exact_posterior_every_bound_is_the_exact_marginal(inference: str) -> None:
    model, marginal, x = linear_chain(inference)
    batch = batch_of(x)
    q, exact = model.encode(batch), marginal.log_prob(x)
    for bound in (
        model.trace(batch, q, 3).log_weight.mean(0),
        iw_log_likelihood(model, batch, q, 7, 20).log_likelihood,
    ):
        torch.testing.assert_close(bound, exact, atol=2e-4, rtol=0)
    estimate = iw_log_likelihood(model, batch, prior_proposal(model, batch), 20_000, 2**20).log_likelihood
    torch.testing.assert_close(estimate, exact, atol=0.3, rtol=0)
    assert (estimate - exact).mean().abs() < 0.05


@pytest.mark.parametrize("inference", ["bottom_up", "top_down"])
def test_the_rates_add_up_along_the_chain(inference: str) -> None:
    """Against the KL of the joint Gaussians of (z1, z2), whose moments are taken from many draws."""
    model, _, x = linear_chain(inference)
    batch = batch_of(x[:1])
    q = model.encode(batch)
    bound = elbo(model, batch, q, 40_000, 40_000)

    def gaussian_of(z: torch.Tensor) -> MultivariateNormal:
        return MultivariateNormal(z.mean(0), z.T.cov())

    torch.manual_seed(0)
    joint = kl_divergence(
        gaussian_of(q.sample(torch.Size((400_000,)))[:, 0].double()),
        gaussian_of(model.prior().sample(torch.Size((400_000,))).double()),
    )
    assert sum(bound.rates).item() == pytest.approx(joint.item(), abs=0.03)


def test_free_bits_can_be_given_layer_by_layer() -> None:
    model, batch = hierarchy(), batch_of(binary_images(5))

    def loss(free_bits: float | list[float]) -> torch.Tensor:
        torch.manual_seed(0)
        return ELBO(beta=1.0, free_bits=free_bits, samples=1)(model, batch, START).loss

    assert loss([0.5, 0.5, 0.5]) == loss(0.5) > loss(0.0)
    floors = [loss([2.0 if j == layer else 0.0 for j in range(3)]) - loss(0.0) for layer in range(3)]
    assert all(extra > 0 for extra in floors)
    torch.testing.assert_close(loss([2.0, 2.0, 2.0]) - loss(0.0), sum(floors))


def test_every_process_draws_its_share_of_the_noise() -> None:
    model, batch = hierarchy("top_down"), batch_of(binary_images(6))

    def draw(share: BatchShard | None) -> torch.Tensor:
        torch.manual_seed(0)
        part = batch if share is None else batch.part(share.start, share.stop - share.start)
        with torch.no_grad(), shard_context(share):
            return torch.cat([latent.z for latent in model.trace(part, model.encode(part), 3).latents], -1)

    halves = [draw(BatchShard.of(6, rank, 2)) for rank in (0, 1)]
    torch.testing.assert_close(torch.cat(halves, 1), draw(None))


WHOLE_RUNS = [
    pytest.param(posterior, prior, marks=[pytest.mark.slow] * ((posterior, prior) != ("top_down", "mixture")))
    for posterior in ("bottom_up", "top_down")
    for prior in ("normal", "mixture", "flow")
]


@pytest.mark.parametrize(("posterior", "prior"), WHOLE_RUNS)
def test_a_whole_run(posterior: str, prior: str, tmp_path) -> None:
    line = ["model=hvae", "dataset=digits", f"posterior={posterior}", f"prior={prior}", "network.hidden=[16]"]
    line += ["model.below=[5]", "model.latent_dim=3", "model.hidden=[8]", "posterior.hidden=[8]", "logger=csv"]
    line += ["trainer.max_epochs=1", "evaluate.samples=5", "prior.components=3"][: 2 + (prior == "mixture")]
    drawn = prior == "normal"
    results = train(composed(*line), tmp_path / "run", figures=drawn)
    assert results["test/rate"] == pytest.approx(results["test/rate_z1"] + results["test/rate_z2"], rel=1e-5)
    assert (tmp_path / "run" / "figures" / "traversals.png").exists() == drawn
    run = vae_cli.load(tmp_path / "run")
    x = run.data.test.x[:4].float() / 255
    assert run.encode(x).mean.shape == (4, 8) and run.sample(3).shape == x[:3].shape
    assert run.decode(run.encode(x).mean).mean.shape == x.shape


def test_the_dimensions_that_x_does_not_see_are_not_traversed() -> None:
    assert hierarchy().read == [0, 1, 2, 3] and hierarchy(generation="skip").read == [0, 1, 2, 3, 7, 8]
