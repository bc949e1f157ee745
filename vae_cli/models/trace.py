"""What a model did with a batch: latents, densities, and the quantities every objective and estimator is made of.

Shape legend: S samples, B batch, d latent dimensions, *event the shape of one x.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vae_cli.distributions.precision import float32


def total(terms: Iterable[Tensor]) -> Tensor:
    """Their sum, of at least one."""
    return reduce(add, terms)


def layer_rates(rates: Sequence[Tensor]) -> dict[str, Tensor]:
    """rate_z1, rate_z2, ... of several layers of latents; of a single one nothing, for its rate is the rate."""
    return {f"rate_z{number}": rate for number, rate in enumerate(rates, 1)} if len(rates) > 1 else {}


@dataclass(frozen=True)
class Latent:
    """One latent variable: a sample z (S, B, *latent) of q, scored under q and under p; log densities in nats.

    entangled: p depends on z itself, through other latents drawn given it, so that no closed form is its KL
    """

    z: Tensor
    q: Distribution
    p: Distribution
    needs_sampled_kl: bool = False

    @classmethod
    def draw(cls, q: Distribution, p: Distribution, samples: int) -> Latent:
        """Draw z ~ q, reparameterised where q allows it."""
        shape = torch.Size((samples,))
        with float32():
            return cls(q.rsample(shape) if q.has_rsample else q.sample(shape), q, p)

    @cached_property
    def log_q(self) -> Tensor:
        """log q(z|x), (S, B)."""
        with float32():
            return self.q.log_prob(self.z)

    @cached_property
    def log_p(self) -> Tensor:
        """log p(z), (S, B)."""
        with float32():
            return self.p.log_prob(self.z)

    @cached_property
    def kl_groups(self) -> Tensor:
        """KL(q || p) by independent groups of dimensions, (B, G), summing to the whole.

        One group a dimension where q and p both factorise, else one group; in closed form where torch knows one,
        else the sampled log q - log p. The mean over samples where q or p differ between them.
        """
        q, p = self.q, self.p
        with float32():
            if self.needs_sampled_kl:
                return self._sampled_kl
            if isinstance(q, Independent) and isinstance(p, Independent):
                try:
                    return self._per_example(kl_divergence(q.base_dist, p.base_dist))
                except NotImplementedError:
                    pass
            try:
                return self._per_example(kl_divergence(q, p).unsqueeze(-1))
            except NotImplementedError:
                return self._sampled_kl

    @property
    def _sampled_kl(self) -> Tensor:
        return (self.log_q - self.log_p).mean(0).unsqueeze(-1)

    def _per_example(self, kl: Tensor) -> Tensor:
        """(B, G) of (S, B, G) or (B, G)."""
        return kl.mean(0) if kl.dim() == self.z.dim() else kl

    @property
    def kl(self) -> Tensor:
        """KL(q || p), (B,), nats."""
        return self.kl_groups.sum(-1)


@dataclass(frozen=True)
class Trace:
    """A batch x (B, *event), the likelihood p(x|z) with batch shape (S, B), and the latents it was drawn with."""

    x: Tensor
    likelihood: Distribution
    latents: tuple[Latent, ...]

    @cached_property
    def log_px(self) -> Tensor:
        """log p(x|z), (S, B): minus the distortion."""
        with float32():
            return self.likelihood.log_prob(self.x)

    @cached_property
    def log_weight(self) -> Tensor:
        """log w = log p(x|z) + sum log p(z) - sum log q(z|x), (S, B); its mean is the ELBO."""
        return self.log_px + total(latent.log_p - latent.log_q for latent in self.latents)

    @cached_property
    def distortion(self) -> Tensor:
        """-E_q log p(x|z), (B,)."""
        return -self.log_px.mean(0)

    @cached_property
    def rates(self) -> tuple[Tensor, ...]:
        """KL(q || p) of each latent, (B,)."""
        return tuple(latent.kl for latent in self.latents)

    @property
    def rate(self) -> Tensor:
        """sum KL(q || p), (B,)."""
        return total(self.rates)

    @property
    def elbo(self) -> Tensor:
        """E_q log p(x|z) - KL(q || p) at beta = 1, (B,)."""
        return -self.distortion - self.rate
