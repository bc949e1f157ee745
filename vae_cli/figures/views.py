"""The list of figures. A new figure is a function, in a file of this folder, and one entry of VIEWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from vae_cli.distributions.mixtures import is_mixture
from vae_cli.figures import clusters, images, vectors
from vae_cli.figures.curves import training_curves
from vae_cli.figures.examples import Inputs, Points
from vae_cli.figures.latents import code_usage, latent_space
from vae_cli.figures.style import rendered
from vae_cli.models.model import LatentVariableModel


def has_components(model: LatentVariableModel) -> bool:
    """True if p(z) is a mixture and the model infers z."""
    return model.infers and is_mixture(model.prior())


@dataclass(frozen=True)
class View:
    """One figure of a run.

    Args:
        name: of its files and of its entry in a logger
        draw: returns None where there is nothing to show
        applies: whether a model and points of its data have this figure; None for a figure of the history alone
        snapshot: the image that a logger gets during training, if it is cheap; None: none
    """

    name: str
    draw: Callable[[Inputs], Figure | None]
    applies: Callable[[LatentVariableModel, Points], bool] | None
    snapshot: Callable[[Inputs], Image.Image] | None = None

    def suits(self, inputs: Inputs) -> bool:
        """True if the figure can be drawn from these inputs."""
        if self.applies is None:
            return True
        return inputs.collected is not None and self.applies(inputs.model, inputs.collected)


def raster(draw: Callable[[Inputs], Figure]) -> Callable[[Inputs], Image.Image]:
    """The figure of `draw` as an image for a screen."""

    return lambda inputs: rendered(draw(inputs))


VIEWS = (
    View("samples", images.samples, lambda model, points: points.is_image, images.sample_grid),
    View("samples", vectors.samples, lambda model, points: not points.is_image, raster(vectors.samples)),
    View(
        "component_samples", clusters.component_samples,
        lambda model, points: points.is_image and has_components(model),
    ),
    View(
        "reconstructions", images.reconstructions,
        lambda model, points: points.is_image and model.infers, images.reconstruction_grid,
    ),
    View(
        "reconstructions", vectors.reconstructions,
        lambda model, points: not points.is_image and model.infers,
    ),
    View(
        "traversals", images.traversals,
        lambda model, points: points.is_image and points.has_directions,
    ),
    View(
        "traversals", vectors.traversals,
        lambda model, points: not points.is_image and points.has_directions,
    ),
    View("component_means", clusters.component_means, lambda model, points: has_components(model)),
    View("density", vectors.density, lambda model, points: points.density_known and points.x[0].numel() > 1),
    View("latent_space", latent_space, lambda model, points: points.has_directions),
    View("code_usage", code_usage, lambda model, points: points.code_counts is not None),
    View("clusters", clusters.latent_scatter, lambda model, points: points.clusters is not None),
    View("confusion", clusters.confusion, lambda model, points: points.clusters is not None and points.y is not None),
    View("training_curves", lambda inputs: training_curves(inputs.history), None),
)  # fmt: skip
"""In the order of drawing, which fixes the random draws of each."""
