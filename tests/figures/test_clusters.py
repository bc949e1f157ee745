"""Figures of a mixture prior."""

import pytest
import torch

from tests.support.figures import CPU, VIEWS, Affine, digits, draw, history, wine
from vae_cli.distributions.mixtures import mixture
from vae_cli.evaluation.metrics.clusters import Agreement
from vae_cli.figures.examples import Examples

CLUSTERED = {"component_means", "clusters"}
MIXTURES = {
    "images": (digits(), 2, CLUSTERED | {"component_samples", "confusion"}),
    "four dimensions": (digits(), 4, CLUSTERED | {"component_samples", "confusion"}),
    "unlabelled": (digits(labels=False), 2, CLUSTERED | {"component_samples"}),
    "table": (wine(), 2, CLUSTERED | {"confusion"}),
    "one dimension": (wine(2), 1, CLUSTERED | {"confusion"}),
}


# UMAP, which shows more than two dimensions, is compiled for many seconds when it is first called
@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=[pytest.mark.slow] * (one == "four dimensions")) for one in MIXTURES]
)
def test_a_mixture_shows_its_components(case):
    data, latent_dim, names = MIXTURES[case]
    model = Affine(data, latent_dim)
    prior = mixture(torch.zeros(3), 2 * torch.randn(3, latent_dim), torch.ones(3, latent_dim))
    model.prior = lambda: prior
    drawn = draw(model, data, history(1))
    assert set(drawn) == VIEWS | {"training_curves"} | names
    if "confusion" in names:
        title = drawn["confusion"].axes[0].get_title("left")
        examples = Examples.collect(model.eval(), data, "test", CPU, 5000)
        accuracy = Agreement.of(examples.clusters.numpy(), examples.y.numpy()).accuracy
        assert f"accuracy {accuracy:.1%} of these" in title
    for figure in drawn.values():
        figure.set_dpi(30)
        figure.canvas.draw()
