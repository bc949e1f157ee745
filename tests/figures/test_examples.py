"""What is drawn: which codes, along which dimensions, around which moments of the prior."""

import numpy as np
import torch
from torch.distributions import MixtureSameFamily, MultivariateNormal, Normal

from tests.support.figures import CPU, Affine, wine
from vae_cli.figures.examples import Examples, Traversal, moments
from vae_cli.figures.plane import Plane


def test_traversals_run_along_the_most_active_dimensions_from_minus_three_to_three():
    data = wine()
    model = Affine(data, 12).eval()
    with torch.no_grad():
        model.weight[:] = model.weight.flip(0)
        examples = Examples.collect(model, data, "test", CPU, 100)
        path = Traversal.of(model, examples, rows=10, columns=7)
    variance = examples.means.numpy().var(0)
    assert path.dims == np.argsort(-variance, kind="stable")[:10].tolist()
    assert path.steps.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    for row, j in enumerate(path.dims):
        others = [k for k in range(12) if k != j]
        assert torch.equal(path.z[row, :, j], path.steps)
        assert torch.equal(path.z[row][:, others], examples.means[0, others].expand(7, -1))


def test_moments_of_a_prior_by_formula_or_from_draws():
    mixture = MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(2)),
        MultivariateNormal(torch.tensor([[-3.0, 1.0], [3.0, 1.0]]), torch.eye(2)),
    )
    mean, deviation = moments(mixture)
    torch.testing.assert_close(mean, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(deviation, torch.tensor([10.0, 1.0]).sqrt())
    torch.manual_seed(0)
    flow = torch.distributions.TransformedDistribution(
        Normal(torch.zeros(2), 1.0), [torch.distributions.AffineTransform(2.0, 3.0)]
    )
    mean, deviation = moments(flow)
    torch.testing.assert_close(mean, torch.full((2,), 2.0), atol=0.15, rtol=0)
    torch.testing.assert_close(deviation, torch.full((2,), 3.0), atol=0.15, rtol=0)


def test_a_plane_is_the_two_dimensions_or_the_two_largest_components():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2000, 2, generator=generator)
    assert torch.equal(torch.tensor(Plane(points, "z")(points)), points)
    wide = torch.randn(2000, 5, generator=generator) * torch.tensor([0.1, 3.0, 0.1, 1.0, 0.1])
    plane = Plane(wide, "z")
    covariance = np.cov(wide.numpy().T)
    top = np.sort(np.linalg.eigvalsh(covariance))[::-1][:2]
    np.testing.assert_allclose(plane(wide).var(0, ddof=1), top, rtol=1e-4)
    assert plane.labels[0] == f"principal component 1 ({top[0] / np.trace(covariance):.0%} of variance)"
