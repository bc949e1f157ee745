"""Refinement: the best q(z|x) of a family for each image, by gradient ascent of its ELBO.

Shape legend: B batch, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.distributions.gaussians import SharedMultivariateNormal, SharedNormal, log_gaussian
from vae_cli.errors import UserError
from vae_cli.models.model import LatentVariableModel
from vae_cli.types import NonNegativeInt, PositiveFloat, PositiveInt

Family = Callable[[Sequence[Tensor]], Distribution]


@dataclass(frozen=True, kw_only=True)
class Refinement(Capable):
    """Steps of gradient ascent of the ELBO from the q(z|x) of the posterior (Kim et al. 2018).

    Args:
        steps: number of steps for an image that is evaluated
        train_steps: number of steps in training. An encoder learns from the bound after them, with a straight-through
            gradient. Stored rows take these steps, the decoder held, and then the decoder learns (alternating ascent);
            at 0 encoder or rows learn from the decoder's bound (joint ascent)
        samples: draws of z in each step
        lr: learning rate of the first step; stored rows have their own
    """

    requires: ClassVar = {"posterior": ("refinable",)}

    steps: PositiveInt
    train_steps: NonNegativeInt
    samples: PositiveInt
    lr: PositiveFloat

    @torch.compiler.disable
    def __call__(self, model: LatentVariableModel, batch: Batch, encoded: Distribution) -> Distribution:
        """The refined q(z|x); that of a training example with a stored one is the stored one."""
        if batch.seen and "per_example" in model.posterior.provides:
            return self._in_turns(model, batch) if model.training and self.train_steps else encoded
        steps = self.train_steps if model.training else self.steps
        if not steps:
            return encoded
        best = refine(model, batch, encoded, steps=steps, samples=self.samples, lr=self.lr)
        start, family = _parameters(encoded)
        refined = _parameters(best)[0]
        return family([own + (other - own).detach() for own, other in zip(start, refined, strict=True)])

    def _in_turns(self, model: LatentVariableModel, batch: Batch) -> Distribution:
        """q(z|x) after steps of the stored rows alone; it has no gradient into them."""
        for _ in range(self.train_steps):
            model.posterior.ascend(batch, lambda q: model.trace(batch, q, self.samples).elbo)
        with torch.no_grad():
            return model.posterior(batch)


def refine(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, *, steps: int, samples: int, lr: float
) -> Distribution:
    """The Gaussian of the same family as `encoded` that maximises the ELBO of each image, by Adam from there on.

    The model does not change. The learning rate falls linearly to 0, so that the noise of the draws averages out.
    """
    start, family = _parameters(encoded)
    parameters = [value.detach().clone().requires_grad_() for value in start]
    optimizer = torch.optim.Adam(parameters, lr, capturable=start[0].is_cuda)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    with torch.enable_grad():
        for _ in range(steps):
            loss = -model.trace(batch, family(parameters), samples).elbo.sum()
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = gradient
            optimizer.step()
            schedule.step()
    return family([parameter.detach() for parameter in parameters])


def _parameters(q: Distribution) -> tuple[Sequence[Tensor], Family]:
    """Unconstrained parameters of a Gaussian, and the Gaussian of such parameters."""
    if isinstance(q, Independent) and isinstance(q.base_dist, SharedNormal):
        return (q.base_dist.loc, q.base_dist.log_scale), lambda p: log_gaussian(p[0], p[1], 1)
    if isinstance(q, MultivariateNormal):
        tril = q.scale_tril
        log_diagonal = torch.diagonal(tril, dim1=-2, dim2=-1).log()
        return (q.loc, tril.tril(-1), log_diagonal), _full
    raise UserError("only a Gaussian q(z|x) can be refined; use posterior=diagonal or full_covariance")


def _full(parameters: Sequence[Tensor]) -> Distribution:
    loc, below, log_diagonal = parameters
    tril = below.tril(-1) + torch.diag_embed(log_diagonal.exp())
    return SharedMultivariateNormal(loc, scale_tril=tril, validate_args=False)
