"""Inference for each image by itself: the best q(z|x) of a family, by ascent of its ELBO.

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
from vae_cli.distributions.distributions import SharedMultivariateNormal, SharedNormal, log_gaussian
from vae_cli.errors import UserError
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.per_example import PerExampleGaussian
from vae_cli.types import NonNegativeInt, PositiveFloat, PositiveInt

Family = Callable[[Sequence[Tensor]], Distribution]


@dataclass(frozen=True, kw_only=True)
class Refinement(Capable):
    """What a model makes of the q(z|x) that its posterior starts with, by steps of ascent (Kim et al. 2018).

    steps: for an image that is evaluated
    train_steps: while training. An encoder learns from the bound that they lead to, whose gradient passes straight
        through them. Rows of a table take so many steps of their own, with the decoder held, and then the decoder
        learns (alternating ascent). With none, encoder or table learn from the decoder's bound (joint ascent)
    samples, lr: draws of z in each step, and the first learning rate; a table's rows have their own
    """

    requires: ClassVar = {"posterior": ("refinable",)}

    steps: PositiveInt
    train_steps: NonNegativeInt
    samples: PositiveInt
    lr: PositiveFloat

    @torch.compiler.disable
    def __call__(self, model: LatentVariableModel, batch: Batch, encoded: Distribution) -> Distribution:
        """The refined q(z|x); that of a table's own example is what training has made of it."""
        if batch.seen and isinstance(model.posterior, PerExampleGaussian):
            return self._in_turns(model, model.posterior, batch) if model.training and self.train_steps else encoded
        steps = self.train_steps if model.training else self.steps
        if not steps:
            return encoded
        best = refine(model, batch, encoded, steps=steps, samples=self.samples, lr=self.lr)
        start, family = _parameters(encoded)
        refined = _parameters(best)[0]
        return family([own + (other - own).detach() for own, other in zip(start, refined, strict=True)])

    def _in_turns(self, model: LatentVariableModel, table: PerExampleGaussian, batch: Batch) -> Distribution:
        """Where steps of the rows alone lead; the step of the decoder, which comes after them, does not move them."""
        for _ in range(self.train_steps):
            table.ascend(batch, lambda q: model.trace(batch, q, self.samples).elbo)
        with torch.no_grad():
            return table(batch)


def refine(
    model: LatentVariableModel, batch: Batch, encoded: Distribution, *, steps: int, samples: int, lr: float
) -> Distribution:
    """The Gaussian of the same family as `encoded` that maximises the ELBO of each image, by Adam from there on.

    The model stays as it is. The learning rate falls linearly to 0, so that the noise of the draws averages out.
    """
    start, family = _parameters(encoded)
    parameters = [value.detach().clone().requires_grad_() for value in start]
    optimizer = torch.optim.Adam(parameters, lr)
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
    raise UserError("only a Gaussian q(z|x) can be refined; take posterior=diagonal or full_covariance")


def _full(parameters: Sequence[Tensor]) -> Distribution:
    loc, below, log_diagonal = parameters
    tril = below.tril(-1) + torch.diag_embed(log_diagonal.exp())
    return SharedMultivariateNormal(loc, scale_tril=tril, validate_args=False)
