"""The trace of a model on a batch: latents, densities, and the quantities of which objectives and estimators consist.

Shape legend: S samples, B batch, d latent dimensions, *event the shape of one x.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from vae_cli.distributions.precision import float32


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of at least one tensor; `sum` would begin with the number 0, which is no tensor to the type checker."""
    return reduce(add, terms)


def layer_rates(rates: Sequence[Tensor]) -> dict[str, Tensor]:
    """rate_z1, rate_z2, ... of several layers of latents; nothing for a single one, whose rate is the rate."""
    return {f"rate_z{number}": rate for number, rate in enumerate(rates, 1)} if len(rates) > 1 else {}


@dataclass(frozen=True)
class Latent:
    """One latent variable: z (S, B, *latent) of q, scored under q and under p; log densities in nats.

    Args:
        needs_sampled_kl: p depends on z through other latents drawn given it, so that no closed form is its KL
        drawn_log_q: log q(z|x), (S, B), where q computes it with the draw; else it is computed when asked for
        weights: (S, B), sum to 1 over S; None is 1/S
    """

    z: Tensor
    q: Distribution
    p: Distribution
    needs_sampled_kl: bool = False
    drawn_log_q: Tensor | None = None
    weights: Tensor | None = None

    @classmethod
    def draw(cls, q: Distribution, p: Distribution, samples: int) -> Latent:
        """z ~ q, reparameterised where q allows it; all values of z where q can enumerate them.

        Two optional methods of q are used where it has them: `rsample_and_log_prob(shape)` gives z and log q(z) of its
        draws; `enumerate_with_probabilities()` gives all values z (S, B, *latent) and q(z|x) (S, B).
        """
        shape = torch.Size((samples,))
        with float32():
            if enumerate_all := getattr(q, "enumerate_with_probabilities", None):
                z, probabilities = enumerate_all()
                return cls(z, q, p, weights=probabilities)
            if draw := getattr(q, "rsample_and_log_prob", None):
                z, log_q = draw(shape)
                return cls(z, q, p, drawn_log_q=log_q)
            return cls(q.rsample(shape) if q.has_rsample else q.sample(shape), q, p)

    @property
    def log_proposal(self) -> Float[Tensor, "S B"]:
        """Log density of the draws, (S, B): log q(z|x), or -log S where z are all S values."""
        return self.log_q if self.weights is None else torch.full_like(self.weights, -math.log(len(self.weights)))

    def expectation(self, values: Float[Tensor, "S B"]) -> Float[Tensor, " B"]:
        """E_q of values (S, B) at the samples, (B,)."""
        return values.mean(0) if self.weights is None else (self.weights * values).sum(0)

    @cached_property
    def log_q(self) -> Float[Tensor, "S B"]:
        """log q(z|x), (S, B)."""
        if self.drawn_log_q is not None:
            return self.drawn_log_q
        with float32():
            return self.q.log_prob(self.z)

    @cached_property
    def log_p(self) -> Float[Tensor, "S B"]:
        """log p(z), (S, B)."""
        with float32():
            return self.p.log_prob(self.z)

    @cached_property
    def kl_groups(self) -> Float[Tensor, "B G"]:
        """KL(q || p) of independent groups of dimensions, (B, G), which sum to the whole.

        Each dimension is a group where q and p both factorise, else all are one. The closed form where torch has one,
        else the sampled log q - log p; the mean over samples where q or p differ between them.
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
        return self.expectation(self.log_q - self.log_p).unsqueeze(-1)

    def _per_example(self, kl: Tensor) -> Tensor:
        """(B, G) of (S, B, G) or (B, G)."""
        return kl.mean(0) if kl.dim() == self.z.dim() else kl

    @property
    def kl(self) -> Float[Tensor, " B"]:
        """KL(q || p), (B,), nats."""
        return self.kl_groups.sum(-1)


@dataclass(frozen=True)
class Trace:
    """A batch x (B, *event), the likelihood p(x|z) with batch shape (S, B), and the latents z."""

    x: Tensor
    likelihood: Distribution
    latents: tuple[Latent, ...]

    @property
    def is_exhaustive(self) -> bool:
        """True if z are all values, so that another trace of the batch adds nothing."""
        return self.latents[0].weights is not None

    @cached_property
    def log_px(self) -> Float[Tensor, "S B"]:
        """log p(x|z), (S, B): minus the distortion."""
        with float32():
            return self.likelihood.log_prob(self.x)

    @cached_property
    def log_weight(self) -> Float[Tensor, "S B"]:
        """log w = log p(x|z) + sum log p(z) - sum log q(z|x), (S, B); 1/S sum w estimates p(x), exactly for all z."""
        return self.log_px + total(latent.log_p - latent.log_proposal for latent in self.latents)

    @cached_property
    def distortion(self) -> Float[Tensor, " B"]:
        """-E_q log p(x|z), (B,)."""
        return -self.latents[0].expectation(self.log_px)

    @cached_property
    def rates(self) -> tuple[Float[Tensor, " B"], ...]:
        """KL(q || p) of each latent, (B,)."""
        return tuple(latent.kl for latent in self.latents)

    @property
    def rate(self) -> Float[Tensor, " B"]:
        """sum KL(q || p), (B,)."""
        return total(self.rates)

    @property
    def elbo(self) -> Float[Tensor, " B"]:
        """E_q log p(x|z) - KL(q || p) at beta = 1, (B,)."""
        return -self.distortion - self.rate
