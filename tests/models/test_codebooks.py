"""Codebooks and gradients through them, against their recursions and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from tests.support.codes import CODEBOOKS, D, K, codebook, images, minimise, perturbed, vqvae
from tests.support.models import START, batch_of
from vae_cli.models.code_distributions import flat, per_position
from vae_cli.models.codebooks import Learned, Usage
from vae_cli.models.posteriors import Quantised, QuantisedWithRotationTrick
from vae_cli.models.straight_through import rotation_trick, straight_through
from vae_cli.objectives import VectorQuantisation


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


@pytest.mark.parametrize(
    ("family", "posterior"),
    [
        pytest.param("learned", Quantised, marks=pytest.mark.slow),
        ("moving averages", QuantisedWithRotationTrick),
    ],
)
def test_training_lowers_the_distortion(family, posterior):
    model = vqvae(family=CODEBOOKS[family], posterior=posterior, codes=16, restart_threshold=0.1)
    batch, objective = batch_of(images(16)), VectorQuantisation(commitment=0.25)
    model.posterior.start_from([batch])
    first = objective(model, batch, START).metrics
    minimise(lambda: objective(model, batch, START).loss, model.parameters(), 80, 1e-2)
    last = objective(model, batch, START).metrics
    assert last["distortion"] < 0.8 * first["distortion"]
    assert 1 < last["perplexity"] <= 16 and 0 < last["usage"] <= 1
    assert all(p.grad is None for p in model.prior.parameters())


def test_usage_of_equal_and_of_single_codes():
    assert Usage.of(torch.full((12,), 5)).perplexity.item() == pytest.approx(12, rel=1e-5)
    assert Usage.of(torch.full((12,), 5)).usage == 1
    one = Usage.of(torch.tensor([0, 7, 0, 0]))
    assert one.perplexity.item() == pytest.approx(1) and one.usage == 0.25
