"""Likelihoods p(x|z): a decoder network and the distribution its outputs parameterise.

Each states in `support` the domains of its normalised density or probability. Shape legend: S samples, B batch,
d latent dimensions, M decoder outputs for each entry of x, *event the shape of one x.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.distributions import discretised_logistic, gaussians, pixels
from vae_cli.distributions.bernoulli import IndependentBernoulli
from vae_cli.distributions.standardisation import Scored, Standardisation
from vae_cli.models.layers import apply_rows
from vae_cli.models.networks import Network
from vae_cli.types import Domain, PositiveFloat, Shape


class Likelihood(nn.Module, Capable):
    """Base class with a decoder network from z (S, B, d) to outputs (S, B, M, *event), the parameters of p(x|z).

    support: domains of x that it has a density or probability for.
    outputs: M.
    discrete: True for a probability, False for a density.
    constant_noise: True for a Gaussian with a standard deviation that does not depend on z.
    standardisation: of the data; encoder and decoder then work on (x - mean) / scale, and log p(x|z) is in the units
        of the data.
    """

    support: ClassVar[tuple[Domain, ...]]
    outputs: ClassVar[int] = 1
    discrete: ClassVar[bool] = False
    constant_noise: ClassVar[bool] = False
    standardisation: Standardisation | None = None

    def __init__(self, network: Network, latent_dim: int, event_shape: Shape) -> None:
        super().__init__()
        self.event_dims = len(event_shape)
        self.decoder = network.decoder(latent_dim, event_shape, self.outputs)

    def forward(self, z: Float[Tensor, "*S d"]) -> Distribution:
        """p(x|z), batch shape (S, B), for z (S, B, d)."""
        return self.scored(apply_rows(self.decoder, z))

    def scored(self, outputs: Tensor) -> Distribution:
        """p(x|z) of the decoder's outputs; `log_prob` is in the units of the data."""
        distribution = self.distribution(outputs)
        return distribution if self.standardisation is None else Scored(distribution, self.standardisation)

    def original(self, x: Tensor) -> Tensor:
        """x (..., *event) of the model in the data's own units."""
        return x if self.standardisation is None else self.standardisation.original(x)

    def distribution(self, outputs: Tensor) -> Distribution:
        """p(x|z) of the decoder's outputs (S, B, M, *event), float32, in the units of the model."""
        raise NotImplementedError

    def single(self, outputs: Tensor) -> Tensor:
        """The one output for each entry of x, (S, B, *event)."""
        return outputs.squeeze(-1 - self.event_dims)

    def independent(self, entries: Distribution) -> Distribution:
        """Batch shape (S, B), event shape *event."""
        return Independent(entries, self.event_dims, validate_args=False)


class Bernoulli(Likelihood):
    """Ber(x; sigmoid f(z)) for binary x."""

    support: ClassVar = ("binary",)
    discrete: ClassVar = True

    def distribution(self, outputs: Tensor) -> Distribution:
        return IndependentBernoulli(self.single(outputs), self.event_dims)


class CentredBernoulli(Bernoulli):
    """Ber(x; sigmoid(f(z) + b)), b the logits of the means of the training set (Burda et al. 2015, section 5.1)."""

    def __init__(self, network: Network, latent_dim: int, event_shape: Shape) -> None:
        super().__init__(network, latent_dim, event_shape)
        self.register_buffer("offset", torch.zeros(event_shape))

    def distribution(self, outputs: Tensor) -> Distribution:
        return super().distribution(outputs + self.get_buffer("offset"))

    @torch.no_grad()
    def start_from(self, batches: Iterable[Batch]) -> None:
        """Set b from the means of the batches, with half a count added to either value."""
        sums, count = torch.zeros_like(self.get_buffer("offset")), 0
        for batch in batches:
            sums, count = sums + batch.x.sum(0), count + len(batch)
        self.get_buffer("offset").copy_(torch.logit((sums + 0.5) / (count + 1)))


class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli with natural parameter f(z), a density on [0, 1]."""

    support: ClassVar = ("unit", "levels")

    def distribution(self, outputs: Tensor) -> Distribution:
        logits = self.single(outputs)
        return self.independent(pixels.ContinuousBernoulli(logits))


class Gaussian(Likelihood):
    """N(f(z), scale^2 I) with a fixed scale.

    Args:
        scale: standard deviation of each entry, in units of x (of standardised x if the data are standardised).
    """

    support: ClassVar = ("real", "unit", "levels")
    constant_noise: ClassVar = True

    def __init__(self, network: Network, latent_dim: int, event_shape: Shape, *, scale: PositiveFloat) -> None:
        super().__init__(network, latent_dim, event_shape)
        self.register_buffer("scale", torch.tensor(float(scale)))

    def distribution(self, outputs: Tensor) -> Distribution:
        loc = self.single(outputs)
        return gaussians.gaussian(loc, self.get_buffer("scale").expand_as(loc), self.event_dims)


class GaussianLearned(Likelihood):
    """N(f(z), diag scale^2) with a learned scale.

    The density of an entry that is constant in the data has no upper bound, hence the floor `min_scale`.

    Args:
        scale: initial standard deviation, in units of x.
        min_scale: lower bound of the standard deviation, in units of x.
        per_dimension: True for one scale for each entry of x, False for one scale in all.
    """

    support: ClassVar = ("real", "unit", "levels")
    constant_noise: ClassVar = True

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Shape,
        *,
        scale: PositiveFloat,
        min_scale: PositiveFloat,
        per_dimension: bool,
    ) -> None:
        super().__init__(network, latent_dim, event_shape)
        self.min_scale = min_scale
        self.log_scale = nn.Parameter(torch.full(event_shape if per_dimension else (), math.log(scale)))

    def distribution(self, outputs: Tensor) -> Distribution:
        loc = self.single(outputs)
        log_scale = gaussians.log_floored(2 * self.log_scale, self.min_scale)
        return gaussians.log_gaussian(loc, log_scale.expand_as(loc), self.event_dims)


class GaussianDecoder(Likelihood):
    """N(mu_x, diag sigma_x^2) with [mu_x; log sigma_x^2] = f(z).

    The density of a memorised point has no upper bound without a floor.

    Args:
        min_scale: lower bound of the standard deviation, in units of x.
    """

    support: ClassVar = ("real", "unit", "levels")
    outputs: ClassVar = 2

    def __init__(self, network: Network, latent_dim: int, event_shape: Shape, *, min_scale: PositiveFloat) -> None:
        super().__init__(network, latent_dim, event_shape)
        self.min_scale = min_scale

    def distribution(self, outputs: Tensor) -> Distribution:
        loc, log_variance = outputs.unbind(-1 - self.event_dims)
        log_scale = gaussians.log_floored(log_variance, self.min_scale)
        return gaussians.log_gaussian(loc, log_scale, self.event_dims)


class DiscretisedLogistic(Likelihood):
    """A logistic distribution over the 256 levels k/255, location and log-scale both outputs of the decoder."""

    support: ClassVar = ("levels",)
    discrete: ClassVar = True
    outputs: ClassVar = 2

    def distribution(self, outputs: Tensor) -> Distribution:
        loc, log_scale = outputs.unbind(-1 - self.event_dims)
        return self.independent(discretised_logistic.DiscretisedLogistic(0.5 + loc, log_scale - 2))


class Categorical(Likelihood):
    """Free probabilities of the 256 levels k/255 of each entry."""

    support: ClassVar = ("levels",)
    discrete: ClassVar = True
    outputs: ClassVar = pixels.LEVELS

    def distribution(self, outputs: Tensor) -> Distribution:
        logits = outputs.movedim(-1 - self.event_dims, -1)
        return self.independent(pixels.CategoricalLevels(logits))
