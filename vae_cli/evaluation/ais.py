"""Annealed importance sampling with Hamiltonian moves: a lower bound on log p(x), and an upper bound for simulated x.

Shape legend: S chains, B batch, d latent dimensions, T temperatures. All results are per image, (B,), in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributed.progress import track
from vae_cli.distributions.overflow import without_overflow
from vae_cli.distributions.precision import float32
from vae_cli.evaluation.estimators import prior_proposal
from vae_cli.models.model import LatentVariableModel

TARGET, GROWTH = 0.65, 1.05
"""Acceptance rate that the step sizes are tuned to, and the factor of one change of a step size."""


@dataclass(frozen=True)
class Path:
    """Annealing path from start(z) to p(x, z): log f_t = (1 - t) log start(z) + t log p(x, z) at temperature t."""

    model: LatentVariableModel
    batch: Batch
    start: Distribution

    def ends(self, z: Float[Tensor, "S B d"]) -> tuple[Float[Tensor, "S B"], Float[Tensor, "S B"]]:
        """log start(z) and log p(x, z), (S, B) each."""
        with float32():
            joint = self.model.decode(z).log_prob(self.batch.x) + self.model.prior().log_prob(z)
            return self.start.log_prob(z), joint

    def energy(self, z: Float[Tensor, "S B d"], t: float) -> tuple[Float[Tensor, "S B"], Float[Tensor, "S B d"]]:
        """-log f_t and its gradient in z."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            first, last = self.ends(z)
            energy = -((1 - t) * first + t * last)
            (gradient,) = torch.autograd.grad(energy.sum(), z)
        return energy.detach(), gradient


def hamiltonian(path: Path, z: Tensor, t: float, step: Tensor, leapfrogs: int) -> tuple[Tensor, Tensor]:
    """One Metropolis-adjusted move with stationary density f_t: z (S, B, d), and True for an accepted move, (S, B).

    The chains of an image share its step size, step (B,) (Neal 2011, section 3).
    """
    size = step.unsqueeze(-1)
    momentum = torch.randn_like(z)
    energy, gradient = path.energy(z, t)
    moved, start = z, energy + 0.5 * momentum.square().sum(-1)
    for _ in range(leapfrogs):
        momentum = momentum - 0.5 * size * gradient
        moved = moved + size * momentum
        energy, gradient = path.energy(moved, t)
        momentum = momentum - 0.5 * size * gradient
    end = energy + 0.5 * momentum.square().sum(-1)
    accepted = torch.rand_like(start) < (start - end).nan_to_num(nan=-math.inf).exp()
    return torch.where(accepted.unsqueeze(-1), moved, z), accepted


def temperatures(count: int) -> Tensor:
    """T + 1 values from 0 to 1 along a sigmoid: they are dense at both ends, where f_t changes fastest."""
    raw = torch.sigmoid(torch.linspace(-4, 4, count + 1))
    return (raw - raw[0]) / (raw[-1] - raw[0])


def tuned_steps(path: Path, z: Tensor, schedule: Tensor, leapfrogs: int) -> Tensor:
    """Step sizes (T, B) of a pilot run: an accepted move makes the step longer, a rejected move makes it shorter.

    They are fixed afterwards, because a step size that depends on its own chain biases the weights of the chain.
    """
    step = torch.full(z.shape[1:2], 0.1, device=z.device)
    sizes = []
    for t in track(schedule[1:].tolist(), "pilot chains"):
        z, accepted = hamiltonian(path, z, t, step, leapfrogs)
        rate = accepted.float().mean(0)
        step = (step * GROWTH ** torch.where(rate > TARGET, 1.0, TARGET / (TARGET - 1))).clamp(1e-5, 10.0)
        sizes.append(step)
    return torch.stack(sizes)


def _legs(schedule: Tensor, steps: Tensor) -> list[tuple[float, float, Tensor]]:
    """(temperature before, temperature after, step size after) along a schedule."""
    return list(zip(schedule[:-1].tolist(), schedule[1:].tolist(), steps, strict=True))


@torch.no_grad()
def forward_weights(
    path: Path, z: Float[Tensor, "S B d"], schedule: Tensor, steps: Tensor, leapfrogs: int
) -> Float[Tensor, "S B"]:
    """log w, (S, B), of chains from z ~ start: E w = p(x), so the mean of log w is a lower bound on log p(x).

    (Neal 2001, eq. 3 to 5)
    """
    log_w = torch.zeros(z.shape[:2], device=z.device)
    for before, after, step in track(_legs(schedule, steps), "chains"):
        first, last = path.ends(z)
        log_w = log_w + (after - before) * (last - first)
        z, _ = hamiltonian(path, z, after, step, leapfrogs)
    return log_w


@torch.no_grad()
def backward_weights(
    path: Path, z: Float[Tensor, "S B d"], schedule: Tensor, steps: Tensor, leapfrogs: int
) -> Float[Tensor, "S B"]:
    """log w, (S, B), of reversed chains from z ~ p(z|x): E 1/w = 1/p(x), so its mean is an upper bound.

    z and x must be one draw from the model (Grosse et al. 2015, eq. 9).
    """
    log_w = torch.zeros(z.shape[:2], device=z.device)
    for before, after, step in track(_legs(schedule, steps)[::-1], "reversed chains"):
        z, _ = hamiltonian(path, z, after, step, leapfrogs)
        first, last = path.ends(z)
        log_w = log_w + (after - before) * (last - first)
    return log_w


@torch.no_grad()
def ais_log_likelihood(
    model: LatentVariableModel, batch: Batch, start: Distribution, chains: int, count: int, leapfrogs: int
) -> Tensor:
    """log 1/S sum_s w_s of `chains` chains with `count` temperatures from z ~ start: a lower bound in expectation.

    `start` is the posterior or the prior of each image, batch shape (B,).
    """
    path, schedule = Path(model, batch, start), temperatures(count)
    steps = tuned_steps(path, start.sample(torch.Size((1,))), schedule, leapfrogs)
    weights = forward_weights(path, start.sample(torch.Size((chains,))), schedule, steps, leapfrogs)
    return without_overflow(weights).logsumexp(0) - math.log(chains)


@dataclass(frozen=True)
class Sandwich:
    """Bounds on log p(x) of simulated x, (B,) each: lower in expectation, and upper."""

    lower: Float[Tensor, " B"]
    upper: Float[Tensor, " B"]


@torch.no_grad()
def bidirectional(
    model: LatentVariableModel, batch: Batch, z: Tensor, chains: int, count: int, leapfrogs: int
) -> Sandwich:
    """Forward and reversed chains for x ~ p(x|z), z (B, d) ~ p(z): z is an exact sample of p(z|x)."""
    start = prior_proposal(model, batch)
    path, schedule = Path(model, batch, start), temperatures(count)
    steps = tuned_steps(path, start.sample(torch.Size((1,))), schedule, leapfrogs)
    lower = forward_weights(path, start.sample(torch.Size((chains,))), schedule, steps, leapfrogs)
    upper = backward_weights(path, z.expand(chains, *z.shape), schedule, steps, leapfrogs)
    return Sandwich(lower.logsumexp(0) - math.log(chains), -((-upper).logsumexp(0) - math.log(chains)))
