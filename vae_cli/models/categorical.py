"""Categorical latents: n variables of K values each, exact where all K^n values can be summed.

Shape legend: S samples, B batch, n variables, K categories, d = n K; z is one-hot, its n blocks of K side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints, register_kl
from torch.nn.functional import log_softmax, one_hot
from torch.types import _size

from vae_cli.batch import Batch
from vae_cli.distributed.shard import draw_shard
from vae_cli.distributions.distributions import UnvalidatedDistribution
from vae_cli.models.networks import Network
from vae_cli.models.posteriors import AmortisedPosterior
from vae_cli.models.priors import Prior
from vae_cli.types import NonNegativeInt, PositiveFloat, PositiveInt, Shape


class CategoricalLatents(UnvalidatedDistribution):
    """prod_i Cat(z_i; softmax(logits_i)), z (*batch, n K) one-hot; log_prob is a log probability in nats.

    `rsample` is straight-through Gumbel-softmax: a one-hot draw with the gradient of the relaxed one (Jang et al. 2017,
    section 2.2). Its density is that of the one-hot draw.

    Args:
        logits: (*batch, n, K)
        temperature: of the relaxation, without effect on the draws
    """

    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float = 1.0) -> None:
        self.log_probs, self.temperature = log_softmax(logits, -1), temperature
        *batch, n, k = logits.shape
        super().__init__(torch.Size(batch), torch.Size((n * k,)), validate_args=False)

    def rsample(self, sample_shape: _size = torch.Size()) -> Tensor:
        logits = self.log_probs.expand(*sample_shape, *self.log_probs.shape)
        noise = -draw_shard(_exponential(logits), logits.shape, len(sample_shape)).log()
        relaxed = ((logits + noise) / self.temperature).softmax(-1)
        drawn = one_hot(relaxed.argmax(-1), logits.shape[-1]).to(relaxed.dtype)
        return (drawn - relaxed.detach() + relaxed).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value.unflatten(-1, self.log_probs.shape[-2:]) * self.log_probs).sum((-2, -1))

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.boolean, 1)

    def values(self) -> Tensor:
        """All K^n values of z, (K^n, n K)."""
        n, k = self.log_probs.shape[-2:]
        choices = torch.arange(k, device=self.log_probs.device)
        indices = torch.cartesian_prod(*[choices] * n).view(-1, n)
        return one_hot(indices, k).flatten(-2).to(self.log_probs.dtype)

    @property
    def mean(self) -> Tensor:
        return self.log_probs.exp().flatten(-2)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)


class EnumeratedLatents(CategoricalLatents):
    """The distribution of `CategoricalLatents` over so few values that expectations are sums over all of them."""

    def enumerate_with_probabilities(self) -> tuple[Tensor, Tensor]:
        """All values z (K^n, B, n K) and q(z|x), (K^n, B)."""
        values = self.values().unsqueeze(1).expand(-1, *self.batch_shape, -1)
        return values, self.log_prob(values).exp()


@register_kl(CategoricalLatents, CategoricalLatents)
def _kl(q: CategoricalLatents, p: CategoricalLatents) -> Tensor:
    return (q.log_probs.exp() * (q.log_probs - p.log_probs)).sum((-2, -1))


class CategoricalPosterior(AmortisedPosterior):
    """q(z|x) = prod_i Cat(z_i; softmax(f_i(x))) over n = latent_dim / categories variables (Jang et al. 2017).

    Args:
        categories: K; it divides model.latent_dim.
        temperature: of the straight-through Gumbel-softmax gradient, for more values than `enumerated`.
        enumerated: at most so many values K^n are summed exactly; 0 samples always.
    """

    provides: ClassVar = ("inference", "density", "encoder", "single_layer", "categories")
    requires: ClassVar = {"objective": ("inference", "expectation"), "prior": ("categories",)}

    def __init__(
        self,
        network: Network,
        event_shape: Shape,
        latent_dim: int,
        *,
        categories: PositiveInt,
        temperature: PositiveFloat,
        enumerated: NonNegativeInt,
    ) -> None:
        super().__init__(network, event_shape, latent_dim)
        self.categories, self.temperature = categories, temperature
        few = categories ** (latent_dim // categories) <= enumerated
        self.distribution = EnumeratedLatents if few else CategoricalLatents

    def forward(self, batch: Batch) -> Distribution:
        logits = self.features(batch).unflatten(-1, (-1, self.categories))
        return self.distribution(logits, self.temperature)


class UniformCategorical(Prior):
    """p(z) = K^-n: each value of each variable is equally likely."""

    provides: ClassVar = ("joint", "categories")
    requires: ClassVar = {"posterior": ("categories",)}

    def __init__(self, latent_dim: int, posterior: CategoricalPosterior) -> None:
        super().__init__()
        k = posterior.categories
        self.register_buffer("logits", torch.zeros(latent_dim // k, k), persistent=False)

    def forward(self) -> Distribution:
        return CategoricalLatents(self.get_buffer("logits"))


class LearnedCategorical(Prior):
    """p(z) = prod_i Cat(z_i; softmax(logits_i)), the logits learned from a uniform start."""

    provides: ClassVar = ("joint", "categories", "learned", "separate")
    requires: ClassVar = {"posterior": ("categories",)}

    def __init__(self, latent_dim: int, posterior: CategoricalPosterior) -> None:
        super().__init__()
        k = posterior.categories
        self.logits = nn.Parameter(torch.zeros(latent_dim // k, k))

    def forward(self) -> Distribution:
        return CategoricalLatents(self.logits)


def _exponential(like: Tensor) -> Callable[[torch.Size], Tensor]:
    return lambda shape: torch.empty(shape, dtype=like.dtype, device=like.device).exponential_()
