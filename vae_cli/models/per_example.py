"""Tables: parameters of q(z|x) for each training example, in place of an encoder.

Shape legend: N training examples, B batch, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.distributions import log_gaussian
from vae_cli.models.posteriors import Posterior
from vae_cli.types import PositiveFloat

DECAYS = (0.9, 0.999)
"""Of the moments of Adam."""


class PerExampleGaussian(Posterior):
    """q(z|x_i) = N(m_i, diag s_i^2), a row (m_i, log s_i) for each training example i, in place of an encoder.

    Rows learn from the gradient of whatever objective they are traced in, or before it by steps up their own bounds,
    those of a batch alone: each has moments and a clock of its own (sparse Adam, to which the factor N/B of a minibatch
    makes no difference). They start at N(0, I), and so does q of an example that was not trained on, for a refinement
    to go on from.
    """

    provides: ClassVar = (
        "inference", "density", "continuous", "entropy", "single_layer", "factorised", "refinable", "spatial",
        "per_example",
    )  # fmt: skip
    requires: ClassVar = {
        "objective": ("inference",),
        "prior": ("joint",),
        "refinement": (),
        "trainer": ("whole_batch",),  # a process would not know of the rows that others have moved
    }

    def __init__(self, latent_dim: int, examples: int, *, lr: PositiveFloat) -> None:
        super().__init__()
        self.lr = lr
        for name in ("rows", "first", "second"):
            self.register_buffer(name, torch.zeros(examples, 2 * latent_dim))
        self.register_buffer("visits", torch.zeros(examples, 1))

    def forward(self, batch: Batch) -> Distribution:
        """q(z|x): batch shape (B,), event shape (d,)."""
        look_up: Any = torch.compiler.disable(self._rows)  # a hook is nothing to compile
        return _gaussian(look_up(batch))

    def _rows(self, batch: Batch) -> Tensor:
        """Those of a batch, (B, 2d), which learn once they have a gradient."""
        table = self.get_buffer("rows")
        if not batch.seen:
            return table.new_zeros(len(batch), table.shape[1])
        rows = table[batch.index]
        if self.training and torch.is_grad_enabled():
            rows.requires_grad_().register_hook(partial(self._learn, batch.index))
        return rows

    def ascend(self, batch: Batch, bound: Callable[[Distribution], Tensor]) -> None:
        """A step of the rows of a batch alone, up the sum of their bounds, (S, B) or (B,)."""
        with torch.enable_grad():
            rows = self.get_buffer("rows")[batch.index].requires_grad_()
            (gradient,) = torch.autograd.grad(-bound(_gaussian(rows)).sum(), rows)
        self._learn(batch.index, gradient)

    @torch.no_grad()
    def _learn(self, index: Tensor, gradient: Tensor) -> None:
        """A step of Adam for these rows, unless the gradient has overflowed."""
        if not gradient.isfinite().all():
            return
        moments = []
        for name, power, decay in zip(("first", "second"), (1, 2), DECAYS, strict=True):
            state = self.get_buffer(name)
            state[index] = decay * state[index] + (1 - decay) * gradient**power
            moments.append(state[index])
        visits = self.get_buffer("visits")
        visits[index] += 1
        mean, square = (m / (1 - decay ** visits[index]) for m, decay in zip(moments, DECAYS, strict=True))
        self.get_buffer("rows")[index] -= self.lr * mean / (square.sqrt() + 1e-8)


def _gaussian(rows: Tensor) -> Distribution:
    """N(m, diag s^2) of rows (m, log s), (B, 2d)."""
    loc, log_scale = rows.chunk(2, -1)
    return log_gaussian(loc, log_scale, 1)
