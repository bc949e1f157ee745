"""Models: encoder, decoder and prior in one object, because p(x, z) is one object. They know no losses and no loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.models.likelihoods import Likelihood
from vae_cli.models.posteriors import Posterior
from vae_cli.models.priors import Prior
from vae_cli.models.trace import Latent, Trace
from vae_cli.types import PositiveInt

Refine = Callable[["LatentVariableModel", Batch, Distribution], Distribution]
"""From the q(z|x) of a posterior to a better one."""


@runtime_checkable
class StartsFromData(Protocol):
    """A part of a model that starts at values from the training set."""

    def start_from(self, batches: Iterable[Batch]) -> None:
        """Set the first values from the batches."""


@runtime_checkable
class HasOwnOptimizer(Protocol):
    """A part of a model with its own optimiser, which steps after each backward pass."""

    def step_after_backward(self) -> None:
        """Update the part after `backward`."""


class LatentVariableModel(nn.Module, Capable):
    """p(x, z) = p(z) p(x|z) with an approximate posterior q(z|x) (Kingma & Welling 2014).

    Shape legend: S samples, B batch, d dimensions of z. `refinement` improves the q(z|x) of the posterior.

    Args:
        latent_dim: d, or the dimensions at each position of a spatial latent.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        likelihood: Likelihood,
        refinement: Refine | None = None,
        *,
        latent_dim: PositiveInt,
    ) -> None:
        super().__init__()
        self.posterior, self.prior, self.likelihood = posterior, prior, likelihood
        self.refinement, self.latent_dim = refinement, latent_dim

    @staticmethod
    def layer_sizes(*, latent_dim: int, **arguments: Any) -> list[int]:
        """Dimensions of each layer of z at one position, the nearest to x first, from the configured arguments."""
        return [latent_dim]

    @staticmethod
    def decoded_layers(**arguments: Any) -> list[int]:
        """The layers that p(x|z) depends on, by number."""
        return [0]

    @property
    def infers(self) -> bool:
        """True if there is a q(z|x)."""
        return "inference" in self.posterior.provides

    @property
    def has_density(self) -> bool:
        """True if q(z|x) has a density, so that there is a bound."""
        return "density" in self.posterior.provides

    @property
    def read(self) -> list[int]:
        """The dimensions of z that p(x|z) depends on."""
        return list(range(self.latent_dim))

    @property
    def is_continuous(self) -> bool:
        """True if z is continuous, so that it has directions and its moments are meaningful."""
        return "continuous" in self.posterior.provides

    @property
    def draws_vary(self) -> bool:
        """False if all draws of q(z|x) are equal: codes of a codebook."""
        return "codes" not in self.posterior.provides

    def encode(self, batch: Batch) -> Distribution:
        """q(z|x), batch shape (B,)."""
        encoded = self.posterior(batch)
        return self.refinement(self, batch, encoded) if self.refinement else encoded

    def decode(self, z: Float[Tensor, "*S d"]) -> Distribution:
        """p(x|z), batch shape (S, B), for z (S, B, d)."""
        return self.likelihood(z)

    def trace(self, batch: Batch, encoded: Distribution, samples: int) -> Trace:
        """Draw z (S, B, d) from a proposal `encoded` and score x and z under the model."""
        latent = Latent.draw(encoded, self.prior(), samples)
        return Trace(batch.x, self.decode(latent.z), (latent,))

    @torch.no_grad()
    def sample(self, n: int) -> Float[Tensor, "n ..."]:
        """Means of p(x|z) for z ~ p(z), (n, *event)."""
        return self.decode(self.prior().sample(torch.Size((1, n)))).mean[0]


@dataclass(frozen=True)
class PosteriorMoments:
    """Moments of q(z|x) of N images on the CPU: means and variances (N, d)."""

    means: Tensor
    variances: Tensor


@torch.no_grad()
def posterior_moments(model: LatentVariableModel, batches: Iterable[Batch]) -> PosteriorMoments:
    """Moments of q(z|x) of all images of the batches, in order."""
    means, variances = [], []
    for batch in batches:
        q = model.encode(batch)
        means.append(q.mean.float().cpu())
        variances.append(q.variance.float().cpu())
    return PosteriorMoments(torch.cat(means), torch.cat(variances))
