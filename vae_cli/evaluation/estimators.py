"""Estimators of bounds and of log p(x), for every model: the only place where a log-likelihood is computed.

Shape legend: S samples, B batch. All results are per image, (B,), in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.distributions import Repeated
from vae_cli.distributions.mixtures import density_floats
from vae_cli.distributions.overflow import without_overflow
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Trace, total


@dataclass(frozen=True)
class Bound:
    """ELBO = -distortion - rate at beta = 1; the rates of the layers of latents sum to the rate.

    The ELBO is never NaN: an example that overflows has -inf.
    """

    elbo: Float[Tensor, " B"]
    distortion: Float[Tensor, " B"]
    rate: Float[Tensor, " B"]
    rates: tuple[Float[Tensor, " B"], ...]


@dataclass(frozen=True)
class Importance:
    """log 1/k sum w and the effective sample size (sum w)^2 / sum w^2 of its weights, in [1, k].

    Both are never NaN: a draw that overflows has w = 0; if all draws overflow, they are log 0 = -inf and 0.

    draws: k
    is_exact: the draws are all values of z, so that the log-likelihood has no error
    """

    log_likelihood: Float[Tensor, " B"]
    effective_sample_size: Float[Tensor, " B"]
    draws: int
    is_exact: bool = False

    @property
    def standard_error(self) -> Float[Tensor, " B"]:
        """Standard error of log_likelihood by the delta method, sqrt((k / ESS - 1) / (k - 1)); NaN for one draw."""
        if self.is_exact:
            return torch.zeros_like(self.log_likelihood)
        spread = (self.draws / self.effective_sample_size - 1).clamp(min=0)
        return (spread / (self.draws - 1)).sqrt() if self.draws > 1 else torch.full_like(spread, math.nan)


@torch.no_grad()
def elbo(model: LatentVariableModel, batch: Batch, encoded: Distribution, samples: int, rows: int) -> Bound:
    """E_q log p(x|z) - KL(q || p): a mean over `samples` draws; the KL in closed form if torch has one.

    At most `rows` = samples x images are held at a time.
    """
    terms = [_terms(model.trace(batch, encoded, n), n) for n in split(samples, max(1, rows // len(batch)))]
    return _bound(terms)


@torch.no_grad()
def iw_log_likelihood(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, samples: int, rows: int
) -> Importance:
    """log 1/k sum_i p(x, z_i) / q(z_i|x), z_i ~ q, k = samples exactly (Burda et al. 2015, eq. 8).

    It is log p(x) itself where q enumerates all z.

    `encoded` is the proposal q: the posterior, encoded once, or another distribution over z. At most `rows` =
    samples x images are held at a time; the result does not depend on `rows`.
    """
    size = max(1, rows // len(batch))
    log_weights = []
    for n in split(samples, size):
        trace = model.trace(batch, encoded, n)
        log_weights.append(without_overflow(trace.log_weight))
        if trace.is_exhaustive:
            return _importance(log_weights, is_exact=True)
    return _importance(log_weights)


@torch.no_grad()
def bound_and_importance(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, samples: int, rows: int
) -> tuple[Bound, Importance]:
    """`elbo` and `iw_log_likelihood` of the same draws."""
    terms, log_weights = [], []
    for n in split(samples, max(1, rows // len(batch))):
        trace = model.trace(batch, encoded, n)
        terms.append(_terms(trace, n))
        log_weights.append(without_overflow(trace.log_weight))
        if trace.is_exhaustive:
            return _bound(terms), _importance(log_weights, is_exact=True)
    return _bound(terms), _importance(log_weights)


def _terms(trace: Trace, draws: int) -> tuple[int, Tensor]:
    """The number of draws, and the distortion and the rates, (1 + L, B)."""
    return draws, torch.stack([trace.distortion, *trace.rates])


def _bound(terms: Sequence[tuple[int, Tensor]]) -> Bound:
    samples = sum(draws for draws, _ in terms)
    distortion, *rates = -without_overflow(-total(draws / samples * values for draws, values in terms))
    rate = total(rates)
    return Bound(without_overflow(-distortion - rate), distortion, rate, tuple(rates))


def _importance(log_weights: Sequence[Tensor], is_exact: bool = False) -> Importance:
    """The mean of weights whose logarithms come in chunks (S, B)."""
    sums = torch.stack([w.logsumexp(0) for w in log_weights]).logsumexp(0)
    squares = torch.stack([(2 * w).logsumexp(0) for w in log_weights]).logsumexp(0)
    effective = torch.where(sums > -math.inf, (2 * sums - squares).exp(), 0.0)
    draws = sum(map(len, log_weights))
    return Importance(sums - math.log(draws), effective, draws, is_exact)


def prior_proposal(model: LatentVariableModel, batch: Batch) -> Distribution:
    """p(z) as the proposal of every image: `iw_log_likelihood` is then simple Monte Carlo, log 1/k sum p(x|z_i)."""
    return Repeated(model.prior(), torch.Size((len(batch),)))


def split(samples: int, size: int) -> Iterator[int]:
    """Chunk lengths of at most `size` with the sum `samples`.

    >>> list(split(10, 4))
    [4, 4, 2]
    """
    for start in range(0, samples, size):
        yield min(size, samples - start)


def rows_at_once(model: LatentVariableModel, device: torch.device, memory_mb: int | None = None) -> AdaptiveChunks:
    """Chunks with as many rows (samples x images) of a trace as fit in memory_mb MiB.

    The default is 1024 on a GPU and 32 on a CPU. On a CPU more is not faster: allocators return larger buffers to the
    system at every step, which costs a third of the speed.
    """
    megabytes, size = memory_mb or (32 if device.type == "cpu" else 1024), row_bytes(model)
    return AdaptiveChunks(max(1, megabytes * 2**20 // size), size)


@torch.no_grad()
def row_bytes(model: LatentVariableModel) -> int:
    """Peak bytes of one row (one sample of one image) of a trace: an upper estimate for chunking.

    The sum of input and output of the decoder's largest layer, of four temporaries of the likelihood, each as large
    as the last layer's output, and of the temporaries of the prior's density.
    """
    floats = last = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal floats, last
        last = output.numel()
        floats = max(floats, sum(t.numel() for t in inputs) + last)

    device = next(model.likelihood.parameters()).device
    leaves = [m for m in model.likelihood.modules() if not any(m.children())]
    handles = [m.register_forward_hook(count) for m in leaves]
    try:
        model.decode(torch.zeros(1, 1, model.latent_dim, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return 4 * (floats + density_floats(model.prior()) + 4 * last)
