"""Non-amortised inference: parameters of q(z|x) for each training example, in place of an encoder.

Shape legend: N training examples, B batch, d latent dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.gaussians import log_gaussian
from vae_cli.models.posteriors import Posterior
from vae_cli.types import PositiveFloat

BETAS = (0.9, 0.999)
"""Decay rates of the moments of Adam."""


class RowAdam(nn.Module):
    """Adam on single rows of a table (N, F), each with moments and a number of steps of its own (Kingma & Ba 2015).

    torch's SparseAdam counts the steps of all rows together, so that a row's first moments would be corrected as if
    they were old. A module, for its state belongs to the model's in checkpoints.
    """

    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, rows: int, features: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.register_buffer("first", torch.zeros(rows, features))
        self.register_buffer("second", torch.zeros(rows, features))
        self.register_buffer("steps", torch.zeros(rows, 1))

    @torch.no_grad()
    def step(self, table: Float[Tensor, "N p"], index: Int[Tensor, " B"], gradient: Float[Tensor, "B p"]) -> None:
        """Move the rows `index` (B,) of `table` (N, F) by their gradient (B, F), unless it is not finite."""
        if not gradient.isfinite().all():
            return
        self.steps[index] += 1
        corrected = []
        for moment, power, beta in zip((self.first, self.second), (1, 2), BETAS, strict=True):
            moment[index] = beta * moment[index] + (1 - beta) * gradient**power
            corrected.append(moment[index] / (1 - beta ** self.steps[index]))
        mean, square = corrected
        table[index] -= self.lr * mean / (square.sqrt() + 1e-8)


class PerExampleGaussian(Posterior):
    """q(z|x_i) = N(m_i, diag s_i^2), with a row (m_i, log s_i) for each training example i in place of an encoder.

    A backward pass gives the rows of its batch a gradient, and `step_after_backward` moves them. The factor N/B of a
    minibatch makes no difference to Adam. The rows start at N(0, I), and so does q of an example outside the training
    set, from which a refinement continues.

    Args:
        lr: learning rate of the rows
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

    rows: Tensor

    def __init__(self, latent_dim: int, examples: int, *, lr: PositiveFloat) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(examples, 2 * latent_dim))
        self.optimizer = RowAdam(examples, 2 * latent_dim, lr)
        self.visited: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Batch) -> Distribution:
        """q(z|x): batch shape (B,), event shape (d,)."""
        look_up: Any = torch.compiler.disable(self._look_up)  # a leaf made inside a compiled step has no gradient
        return _gaussian(look_up(batch))

    def _look_up(self, batch: Batch) -> Tensor:
        """The rows of a batch, (B, 2d)."""
        if not batch.seen:
            return self.rows.new_zeros(len(batch), self.rows.shape[1])
        rows = self.rows[batch.index]
        if self.training and torch.is_grad_enabled():
            self.visited.append((batch.index, rows.requires_grad_()))
        return rows

    def step_after_backward(self) -> None:
        """A step of the rows that a backward pass has given a gradient."""
        for index, rows in self.visited:
            if rows.grad is not None:
                self.optimizer.step(self.rows, index, rows.grad)
        self.visited.clear()

    def ascend(self, batch: Batch, bound: Callable[[Distribution], Tensor]) -> None:
        """A step of the rows of a batch alone, up the sum of their bounds, (S, B) or (B,)."""
        with torch.enable_grad():
            rows = self.rows[batch.index].requires_grad_()
            (gradient,) = torch.autograd.grad(-bound(_gaussian(rows)).sum(), rows)
        self.optimizer.step(self.rows, batch.index, gradient)


def _gaussian(rows: Tensor) -> Distribution:
    """N(m, diag s^2) of rows (m, log s), (B, 2d)."""
    loc, log_scale = rows.chunk(2, -1)
    return log_gaussian(loc, log_scale, 1)
