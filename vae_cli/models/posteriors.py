"""Approximate posteriors q(z|x): an encoder network and the distribution its outputs parameterise.

Shape legend: B batch, d latent dimensions. Arguments after the star are the user's, those before it the builder's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from vae_cli.batch import Batch, first_batches
from vae_cli.capabilities import Capable
from vae_cli.distributions.distributions import Delta, PushforwardDistribution
from vae_cli.distributions.flows import autoregressive_steps, coupling_steps
from vae_cli.distributions.gaussians import FARTHEST, SharedMultivariateNormal, gaussian, log_gaussian
from vae_cli.distributions.precision import float32
from vae_cli.errors import UserError
from vae_cli.models.code_distributions import QuantisedDelta, flat, per_position
from vae_cli.models.codebooks import POINTS, Codebook
from vae_cli.models.networks import Network
from vae_cli.models.straight_through import rotation_trick, straight_through
from vae_cli.types import PositiveFloat, PositiveInt, Shape

SOFTPLUS_OF_ONE = 0.5413248546129181  # log(e - 1): where softplus is 1


class Posterior(nn.Module, Capable):
    """Base class: called with a batch, it returns q(z|x) of batch shape (B,)."""

    provides: ClassVar = ("inference", "density", "continuous", "encoder")
    requires: ClassVar = {"objective": ("inference",), "prior": ("joint",)}
    density_inverts: ClassVar = False  # log q(z|x) of a z other than the last draw inverts a flow, which is slow
    moments_are_conditional: ClassVar = False  # mean and variance of q(z|x) are given the means of other latents
    encoder: nn.Module  # of a posterior that provides "encoder" and "single_layer"

    def best_gap(self, precision: Tensor) -> float | None:
        """min KL(q || N(m, precision^-1)) over this family, nats; None without a closed form. precision (d, d)."""
        return None

    def ascend(self, batch: Batch, bound: Callable[[Distribution], Tensor]) -> None:
        """Take one ascent step of the rows of a batch; only a posterior that provides "per_example" has rows."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Distribution:
        raise NotImplementedError


class NoEncoder(Posterior):
    """No q(z|x), for a model that is only sampled from."""

    provides: ClassVar = ("continuous", "spatial")
    requires: ClassVar = {}

    def forward(self, batch: Batch) -> Distribution:
        raise UserError("posterior=none: the model has no encoder, so there is no q(z|x)")


class AmortisedPosterior(Posterior):
    """Base class with an encoder network from x (B, *event) to (B, features), the parameters of q(z|x)."""

    provides: ClassVar = ("inference", "density", "continuous", "encoder", "entropy", "single_layer")

    def __init__(self, network: Network, event_shape: Shape, features: int) -> None:
        super().__init__()
        self.encoder = network.encoder(event_shape, features)

    def features(self, batch: Batch) -> Float[Tensor, "B features"]:
        """The encoder's outputs in float32."""
        return self.encoder(batch.x).to(torch.float32)


class Diagonal(AmortisedPosterior):
    """q(z|x) = N(m(x), diag s(x)^2), s = exp(half the log-variance) (Kingma & Welling 2014, eq. 9)."""

    provides: ClassVar = (
        "inference", "density", "continuous", "encoder", "entropy", "single_layer", "factorised", "refinable",
        "spatial",
    )  # fmt: skip

    def __init__(self, network: Network, event_shape: Shape, latent_dim: int) -> None:
        super().__init__(network, event_shape, 2 * latent_dim)

    def forward(self, batch: Batch) -> Distribution:
        loc, log_variance = self.features(batch).chunk(2, -1)
        return log_gaussian(loc, 0.5 * log_variance, 1)

    def best_gap(self, precision: Tensor) -> float | None:
        """1/2 (sum_i log L_ii - log|L|) for the precision L."""
        return 0.5 * float(precision.diagonal().log().sum() - precision.logdet())


class FixedScale(AmortisedPosterior):
    """q(z|x) = N(m(x), scale^2 I) with a fixed scale: near 0 the VAE is a regularised autoencoder (Ghosh et al. 2020).

    Args:
        scale: standard deviation of each latent dimension, in units of z.
    """

    provides: ClassVar = (
        "inference", "density", "continuous", "encoder", "entropy", "single_layer", "factorised", "spatial",
    )  # fmt: skip

    def __init__(self, network: Network, event_shape: Shape, latent_dim: int, *, scale: PositiveFloat) -> None:
        super().__init__(network, event_shape, latent_dim)
        self.scale = scale

    def forward(self, batch: Batch) -> Distribution:
        loc = self.features(batch)
        return gaussian(loc, torch.full_like(loc, self.scale), 1)


class FullCovariance(AmortisedPosterior):
    """q(z|x) = N(m, L L^T), L lower triangular with a softplus diagonal (Kingma & Welling 2019, section 2.5.1)."""

    provides: ClassVar = ("inference", "density", "continuous", "encoder", "entropy", "single_layer", "refinable")

    def __init__(self, network: Network, event_shape: Shape, latent_dim: int) -> None:
        super().__init__(network, event_shape, latent_dim + latent_dim * (latent_dim + 1) // 2)
        self.latent_dim = latent_dim
        head = [module for module in self.encoder.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():  # start near a diagonal L: hundreds of random entries would drown z in noise
            head.weight[2 * latent_dim :] *= 0.01
            head.bias[2 * latent_dim :] *= 0.01
        self.register_buffer("rows_columns", torch.tril_indices(latent_dim, latent_dim, -1), persistent=False)

    def forward(self, batch: Batch) -> Distribution:
        d = self.latent_dim
        features = self.features(batch)
        loc, diagonal, below = features.split([d, d, features.shape[-1] - 2 * d], -1)
        tril = torch.diag_embed(softplus(diagonal + SOFTPLUS_OF_ONE).clamp(min=1 / FARTHEST))
        rows, columns = self.get_buffer("rows_columns")
        tril = tril.index_put((torch.arange(tril.shape[0], device=tril.device)[:, None], rows, columns), below)
        return SharedMultivariateNormal(loc, scale_tril=tril, validate_args=False)

    def best_gap(self, precision: Tensor) -> float | None:
        """0: the family holds every Gaussian."""
        return 0.0


class AutoregressiveFlow(AmortisedPosterior):
    """z = f(z_0; h), z_0 ~ N(m, diag s^2): the encoder gives m, s and the context h (Kingma et al. 2016).

    f is an inverse autoregressive flow: a draw takes one pass and carries its density, the density of another point
    takes d passes.

    Args:
        steps: autoregressive steps of f.
        hidden: widths of the hidden layers of each step.
        context: dimensions of h.
    """

    provides: ClassVar = ("inference", "density", "continuous", "encoder", "single_layer")
    density_inverts: ClassVar = True
    steps_of = staticmethod(autoregressive_steps)

    def __init__(
        self,
        network: Network,
        event_shape: Shape,
        latent_dim: int,
        *,
        steps: PositiveInt,
        hidden: list[PositiveInt],
        context: PositiveInt,
    ) -> None:
        super().__init__(network, event_shape, 2 * latent_dim + context)
        self.sizes = [latent_dim, latent_dim, context]
        self.flow = self.steps_of(latent_dim, context, steps, hidden)

    def forward(self, batch: Batch) -> Distribution:
        loc, log_variance, context = self.features(batch).split(self.sizes, -1)
        with float32():
            return PushforwardDistribution(log_gaussian(loc, 0.5 * log_variance, 1), self.flow(context))


class CouplingFlow(AutoregressiveFlow):
    """A flow posterior with coupling steps: the density of any point takes one pass (Dinh et al. 2017).

    Args:
        steps: coupling steps of f.
        hidden: widths of the hidden layers of each step.
        context: dimensions of h.
    """

    steps_of = staticmethod(coupling_steps)


class Deterministic(AmortisedPosterior):
    """z = f(x), a point mass: the code of an autoencoder, without a density, a rate or a bound."""

    provides: ClassVar = ("inference", "continuous", "encoder", "single_layer", "spatial")
    requires: ClassVar = {"objective": ("inference",)}

    def __init__(self, network: Network, event_shape: Shape, latent_dim: int) -> None:
        super().__init__(network, event_shape, latent_dim)

    def forward(self, batch: Batch) -> Distribution:
        return Delta(self.features(batch))


class Quantised(AmortisedPosterior):
    """The code nearest to the encoder's output at each of n positions (van den Oord et al. 2017, eq. 1 and 2).

    z holds the vectors of the codes. q(z|x) is a point mass on one of K^n grids, log q(z|x) = 0. The gradient is
    straight-through.
    """

    provides: ClassVar = ("inference", "density", "encoder", "single_layer", "spatial", "codes")
    requires: ClassVar = {"objective": ("inference", "codes"), "prior": ("joint", "codes"), "codebook": ()}
    through = staticmethod(straight_through)

    def __init__(
        self, network: Network, event_shape: Shape, latent_dim: int, n_positions: int, codebook: Codebook
    ) -> None:
        super().__init__(network, event_shape, latent_dim)
        self.n_positions, self.codebook = n_positions, codebook

    def outputs(self, batch: Batch) -> Float[Tensor, "B n D"]:
        """The encoder's outputs before quantisation, (B, n, D)."""
        return per_position(self.features(batch), self.n_positions)

    def forward(self, batch: Batch) -> QuantisedDelta:
        outputs = self.outputs(batch)
        indices = self.codebook.nearest(outputs)
        return QuantisedDelta(self.codebook, outputs, indices, flat(self.through(outputs, self.codebook(indices))))

    @torch.no_grad()
    def start_from(self, batches: Iterable[Batch]) -> None:
        """Start the codebook at clusters of the untrained encoder's outputs for the first batches."""
        count, device = POINTS * self.codebook.codes, self.codebook.vectors.device
        examples = first_batches(batches, -(-count // self.n_positions))
        points = [self.outputs(batch.to(device)).flatten(0, 1) for batch in examples]
        self.codebook.start_at(torch.cat(points)[:count])


class QuantisedWithRotationTrick(Quantised):
    """A quantised posterior with the rotation trick: the gradient is rotated and scaled back (Fifty et al. 2025)."""

    through = staticmethod(rotation_trick)
