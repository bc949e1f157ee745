"""Codebooks, gradients through them, and priors over grids of codes, against enumeration and scikit-learn."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from tests.support.models import IMAGE, START, batch_of, binary_images, small_mlp
from vae_cli.evaluation.estimators import elbo, iw_log_likelihood
from vae_cli.models.code_distributions import Autoregressive, flat, per_position
from vae_cli.models.code_priors import CodeTransformer
from vae_cli.models.codebooks import Codebook, Learned, MovingAverages, Usage
from vae_cli.models.likelihoods import Bernoulli
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.posteriors import Diagonal, Quantised, QuantisedWithRotationTrick
from vae_cli.models.priors import Gaussian
from vae_cli.models.spatial_networks import SpatialConv, n_positions
from vae_cli.models.straight_through import rotation_trick, straight_through
from vae_cli.objectives import ELBO, PriorFit, VectorQuantisation
from vae_cli.training.second_stage import PriorFitting

CODEBOOKS = {"moving averages": MovingAverages, "learned": Learned}
K, D = 3, 2
NETWORK = SpatialConv(channels=[4], blocks=1, activation="tanh")
TWO_BY_TWO = (1, 4, 3)


def codebook(codes: int = K, decay: float = 0.9, restart_threshold: float = 0.0, family=MovingAverages) -> Codebook:
    return family(D, codes=codes, decay=decay, restart_threshold=restart_threshold)


def vqvae(family=MovingAverages, posterior=Quantised, **settings) -> LatentVariableModel:
    """Of 4 x 3 images, with two by two codes."""
    n = n_positions(NETWORK, TWO_BY_TWO)
    book = codebook(family=family, **settings)
    book.start_at(torch.randn(200, D))
    encoder = posterior(NETWORK, TWO_BY_TWO, n * D, n, book)
    prior = CodeTransformer(encoder, n, layers=1, heads=2, head_width=4)
    return LatentVariableModel(encoder, prior, Bernoulli(NETWORK, n * D, TWO_BY_TWO), latent_dim=n * D)


def images(n: int) -> torch.Tensor:
    return torch.bernoulli(torch.rand(n, *TWO_BY_TWO))


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return module


def all_grids(model: LatentVariableModel) -> torch.Tensor:
    """Vectors z (K^n, d) of every grid of codes."""
    indices = torch.tensor(list(product(range(K), repeat=model.posterior.n_positions)))
    return flat(model.posterior.codebook(indices)).detach()


def minimise(loss, parameters, steps: int, lr: float) -> None:
    optimizer = torch.optim.Adam(parameters, lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def test_the_straight_through_jacobian_is_the_identity():
    vectors = torch.randn(5)
    jacobian = torch.autograd.functional.jacobian(lambda outputs: straight_through(outputs, vectors), torch.randn(5))
    assert torch.equal(jacobian, torch.eye(5))


def test_the_rotation_takes_the_output_to_its_vector_and_keeps_angles():
    outputs, vectors = torch.randn(5), torch.randn(5)
    jacobian = torch.autograd.functional.jacobian(lambda at: rotation_trick(at, vectors), outputs)
    scale = vectors.norm() / outputs.norm()
    torch.testing.assert_close(jacobian @ outputs, vectors)
    torch.testing.assert_close(jacobian.T @ jacobian, scale**2 * torch.eye(5), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.linalg.det(jacobian), scale**5)


@pytest.mark.parametrize("through", [straight_through, rotation_trick])
def test_the_values_are_exactly_those_of_the_vectors(through):
    vectors = torch.randn(7, 4, 5, requires_grad=True)
    z = through(torch.randn(7, 4, 5, requires_grad=True), vectors)
    assert torch.equal(z, vectors)
    z.square().sum().backward()
    assert vectors.grad is None
    assert rotation_trick(torch.zeros(3), torch.ones(3)).isfinite().all()


def test_nearest_is_that_of_scikit_learn_and_identity_is_exact():
    book = codebook(codes=50)
    points = torch.randn(400, D)
    assert book.nearest(points).tolist() == pairwise_distances_argmin(points, book.vectors).tolist()
    book.vectors[1:] = book.vectors[0] + 1e-6 * torch.randn(49, D)  # too close for an expanded square
    indices = torch.randint(50, (9, 4))
    assert torch.equal(book(book.identify(book(indices))), book(indices))


def test_without_decay_a_moving_average_is_the_mean_of_its_cluster():
    book, outputs = codebook(decay=0.0), torch.randn(20, 4, D)
    indices = book.nearest(outputs)
    book.learn(outputs, indices)
    for k in range(K):
        torch.testing.assert_close(book.vectors[k], outputs[indices == k].mean(0))
        assert book.shares[k].item() == pytest.approx((indices == k).float().mean().item())


def test_without_decay_moving_averages_end_where_k_means_does():
    book, outputs = codebook(decay=0.0, codes=4), torch.randn(100, 3, D)
    book.start_at(outputs.flatten(0, 1)[:20])
    points = outputs.flatten(0, 1).double().numpy()
    oracle = KMeans(4, init=book.vectors.double().numpy(), n_init=1, tol=0, max_iter=300).fit(points)
    for _ in range(100):
        book.learn(outputs, book.nearest(outputs))
    np.testing.assert_allclose(book.vectors, oracle.cluster_centers_, atol=1e-5)


def test_moving_averages_follow_their_recursion():
    """N_k and m_k in float64, batch by batch."""
    book, decay = codebook(decay=0.7), 0.7
    counts, sums = np.full(K, 1 / K), book.vectors.double().numpy() / K
    for _ in range(5):
        outputs = torch.randn(6, 4, D)
        indices = book.nearest(outputs)
        book.learn(outputs, indices)
        points, labels = outputs.reshape(-1, D).double().numpy(), indices.flatten().numpy()
        for k in range(K):
            counts[k] = decay * counts[k] + (1 - decay) * (labels == k).mean()
            sums[k] = decay * sums[k] + (1 - decay) * points[labels == k].sum(0) / len(points)
        np.testing.assert_allclose(book.vectors, sums / counts[:, None], rtol=1e-4, atol=1e-6)


def test_a_learned_codebook_follows_the_gradient_of_the_squared_distance():
    book, outputs = codebook(family=Learned), torch.randn(20, 4, D, requires_grad=True)
    indices = book.nearest(outputs)
    loss = book.learn(outputs, indices)
    loss.backward()
    assert outputs.grad is None
    squares = (outputs - book.vectors[indices]).square().sum().item() / 20
    assert loss.item() == pytest.approx(squares, rel=1e-5)
    for k in range(K):
        expected = 2 * (book.vectors[k] - outputs[indices == k]).sum(0) / 20
        torch.testing.assert_close(book.vectors.grad[k], expected)


@pytest.mark.parametrize("family", CODEBOOKS)
def test_dead_codes_start_again_at_outputs(family):
    book, outputs = codebook(codes=8, decay=0.5, restart_threshold=0.1, family=CODEBOOKS[family]), torch.randn(50, 4, D)
    with torch.no_grad():
        book.vectors.copy_(torch.cat([torch.zeros(1, D), torch.full((7, D), 1e3)]))
    for _ in range(3):
        book.learn(outputs, book.nearest(outputs))
    assert (book.shares > 0.1 / 8).all() and book.vectors.abs().max() == 1e3
    for _ in range(40):
        book.learn(outputs, book.nearest(outputs))
    assert book.vectors.abs().max() < 10
    assert len(book.nearest(outputs).unique()) > 5


@pytest.mark.parametrize("family", CODEBOOKS)
def test_codebooks_start_at_the_centres_of_k_means(family):
    centres = torch.tensor([[0.0, 5.0], [5.0, 0.0], [-5.0, -5.0]])
    points = centres[torch.arange(300) % 3] + 0.1 * torch.randn(300, D)
    book = codebook(family=CODEBOOKS[family])
    book.start_at(points)
    labels = book.nearest(points)
    for k in range(K):
        torch.testing.assert_close(book.vectors[k].detach(), points[labels == k].mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(book.shares, torch.full((K,), 1 / 3))
    few = codebook(codes=9, family=CODEBOOKS[family])
    few.start_at(points[:4])
    assert sorted(few.shares.tolist()) == [0.0] * 5 + [0.25] * 4


def test_a_posterior_starts_its_codebook_at_its_own_outputs():
    model = vqvae()
    batch = batch_of(images(40))
    model.posterior.start_from([batch])
    assert len(model.encode(batch).counts) == K and (model.encode(batch).counts > 0).all()


def test_sites_and_maps_are_two_views_of_z():
    z = torch.randn(2, 5, 6, 4)
    assert torch.equal(flat(per_position(z.flatten(-2), 4)), z.flatten(-2))
    assert torch.equal(per_position(z.flatten(-2), 4)[0, 0, 1], z[0, 0, :, 1])


@pytest.mark.parametrize("posterior", [Quantised, QuantisedWithRotationTrick])
def test_a_grid_of_codes_is_a_point_mass(posterior):
    model, batch = vqvae(posterior=posterior), batch_of(images(7))
    perturbed(model.posterior.encoder)  # residual blocks start at zero
    q = model.encode(batch)
    z = q.rsample(torch.Size((3,)))
    assert q.batch_shape == (7,) and q.event_shape == (8,) and z.shape == (3, 7, 8)
    assert torch.equal(q.log_prob(z), torch.zeros(3, 7))
    assert torch.equal(q.log_prob(z + 1e-3), torch.full((3, 7), -torch.inf))
    assert torch.equal(per_position(z, 4)[0], model.posterior.codebook(q.indices))
    assert q.counts.sum() == 28
    z.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.posterior.encoder.parameters())


def test_the_prior_is_uniform_until_it_is_trained():
    model, batch = vqvae(), batch_of(images(5))
    torch.testing.assert_close(model.prior().log_prob(all_grids(model)), torch.full((81,), -4 * math.log(K)))
    bound = elbo(model, batch, model.encode(batch), 1, 100)
    torch.testing.assert_close(bound.rate, torch.full((5,), 4 * math.log(K)))


def test_probabilities_of_all_grids_of_a_fitted_prior_sum_to_one_and_are_those_of_the_data():
    """Two by two codes: 81 grids, of which three are seen, one half of the time."""
    model = vqvae()
    seen = all_grids(model)[torch.tensor([5, 5, 40, 77])]
    minimise(lambda: -model.prior().log_prob(seen).mean(), model.prior.parameters(), 300, 2e-2)
    p = model.prior().log_prob(all_grids(model)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(p[[5, 40, 77]], torch.tensor([0.5, 0.25, 0.25]), atol=0.03, rtol=0)


def test_draws_have_the_probabilities_they_are_given():
    model = vqvae()
    perturbed(model.prior)
    grids, p = all_grids(model), model.prior()
    draws = p.expand(torch.Size((5,))).sample(torch.Size((4000,)))
    assert draws.shape == (4000, 5, 8)
    found = (draws.reshape(-1, 1, 8) == grids).all(-1)
    assert (found.sum(1) == 1).all()
    probabilities = p.log_prob(grids).exp()
    errors = (probabilities * (1 - probabilities) / 20_000).sqrt()
    assert ((found.float().mean(0) - probabilities).abs() < 5 * errors + 5 / 20_000).all()


def test_each_index_depends_on_those_before_it_alone():
    model = vqvae()
    prior, indices = perturbed(model.prior), torch.randint(K, (6, 4))
    whole = prior.logits(indices[:, :-1])
    for i in range(4):
        torch.testing.assert_close(prior.logits(indices[:, :i]), whole[:, : i + 1])
    first = prior.logits(torch.zeros(1, 3, dtype=torch.int64))
    other = prior.logits(torch.tensor([[1, 0, 0]]))
    assert torch.equal(first[:, 0], other[:, 0]) and not torch.allclose(first[:, 1:], other[:, 1:])


def test_what_is_no_code_has_no_probability():
    model = vqvae()
    z = all_grids(model)[:4]
    z[2, 0] += 1e-4
    p = model.prior()
    assert isinstance(p, Autoregressive)
    assert p.log_prob(z).isfinite().tolist() == [True, True, False, True]
    assert p.log_prob(z[0]).shape == () and p.log_prob(z.expand(3, 4, 8)).shape == (3, 4)


def test_the_bound_is_one_term_of_the_sum_over_all_grids_and_importance_weights_add_nothing():
    model, batch = vqvae(), batch_of(images(6))
    perturbed(model.prior)
    grids, encoded = all_grids(model), model.encode(batch)
    joint = model.decode(grids.unsqueeze(1)).log_prob(batch.x) + model.prior().log_prob(grids).unsqueeze(1)
    log_px = joint.logsumexp(0)
    chosen = (grids.unsqueeze(1) == encoded.mean).all(-1).int().argmax(0)
    bound = elbo(model, batch, encoded, 1, 1000)
    torch.testing.assert_close(bound.elbo, joint.gather(0, chosen.unsqueeze(0))[0].detach())
    assert (bound.elbo < log_px).all()
    importance = iw_log_likelihood(model, batch, encoded, 7, 1000)
    torch.testing.assert_close(importance.log_likelihood, bound.elbo)


@pytest.mark.parametrize(
    ("family", "posterior"), [("learned", Quantised), ("moving averages", QuantisedWithRotationTrick)]
)
def test_training_lowers_the_distortion(family, posterior):
    model = vqvae(family=CODEBOOKS[family], posterior=posterior, codes=16, restart_threshold=0.1)
    batch, objective = batch_of(images(16)), VectorQuantisation(commitment=0.25)
    model.posterior.start_from([batch])
    first = objective(model, batch, START).metrics
    minimise(lambda: objective(model, batch, START).loss, model.parameters(), 200, 1e-2)
    last = objective(model, batch, START).metrics
    assert last["distortion"] < 0.8 * first["distortion"]
    assert 1 < last["perplexity"] <= 16 and 0 < last["usage"] <= 1
    assert all(p.grad is None for p in model.prior.parameters())


@pytest.mark.parametrize("family", CODEBOOKS)
def test_after_the_objective_only_the_prior_moves(family):
    """Adam's moments of the phase before and its weight decay leave the rest alone, and so do moving averages."""
    model, batch = vqvae(family=CODEBOOKS[family], restart_threshold=0.1), batch_of(images(30))
    objective, (phase,) = VectorQuantisation(commitment=0.25), PriorFitting(epochs=3).extend([], model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.1)

    def steps(term) -> float:
        for _ in range(30):
            optimizer.zero_grad()
            loss = term(model, batch, START).loss
            loss.backward()
            optimizer.step()
        return loss.item()

    steps(objective)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rate = model.trace(batch, model.encode(batch), 1).rate.mean()
    assert rate.item() == pytest.approx(4 * math.log(K), rel=1e-6)
    phase.set_modes(model)
    assert not model.posterior.training and model.prior.training
    assert steps(phase.objective) < rate
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("prior.") for name in moved)


def test_a_gaussian_prior_fitted_alone_takes_the_moments_of_the_aggregated_posterior():
    """The best N(m, s^2) under E KL(q || p): m the mean of means, s^2 their variance and the mean of variances."""
    network = small_mlp()
    model = LatentVariableModel(Diagonal(network, IMAGE, 3), Gaussian(3), Bernoulli(network, 3, IMAGE), latent_dim=3)
    batch = batch_of(binary_images(50))
    minimise(lambda: PriorFit()(model, batch, START).loss, model.parameters(), 1500, 1e-2)
    q, p = model.encode(batch), model.prior()
    torch.testing.assert_close(p.mean, q.mean.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(p.variance, q.mean.var(0, unbiased=False) + q.variance.mean(0), atol=1e-2, rtol=1e-2)
    assert all(value.grad is None for value in model.posterior.parameters())
    rate = ELBO(beta=1.0, free_bits=0.0, samples=1)(model, batch, START).metrics["rate"]
    torch.testing.assert_close(rate, PriorFit()(model, batch, START).loss)


def test_usage_of_equal_and_of_single_codes():
    assert Usage.of(torch.full((12,), 5)).perplexity.item() == pytest.approx(12, rel=1e-5)
    assert Usage.of(torch.full((12,), 5)).usage == 1
    one = Usage.of(torch.tensor([0, 7, 0, 0]))
    assert one.perplexity.item() == pytest.approx(1) and one.usage == 0.25
