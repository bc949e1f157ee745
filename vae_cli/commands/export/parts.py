"""The parts of a model as functions of tensors alone, which an export writes without the objects of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vae_cli.batch import Batch
from vae_cli.capabilities import CAPABILITIES
from vae_cli.distributions.standardisation import in_own_units
from vae_cli.models.model import LatentVariableModel


class Part(nn.Module):
    """A function of tensors with the weights of a model, on x (N, *event) in the data's own units and z (N, d).

    inputs, outputs: names of the arguments and of the results
    requires: words that the posterior must provide
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: tuple[str, ...]
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__()
        self.model = model

    @property
    def name(self) -> str:
        """The name of its file."""
        return type(self).__name__.lower()

    def batch(self, x: Tensor) -> Batch:
        """x as a batch of the model."""
        units = self.model.likelihood.standardisation
        x = x if units is None else units.standardise(x)
        return Batch(x, torch.arange(x.shape[0], device=x.device))

    @classmethod
    def lacks(cls, model: LatentVariableModel) -> str | None:
        """A sentence with the reason for which the model has no such part; None if it has."""
        posterior = model.posterior
        if missing := next((word for word in cls.requires if word not in posterior.provides), None):
            return f"the posterior {type(posterior).__name__} lacks {CAPABILITIES[missing]}"
        if cls.requires and model.refinement is not None:
            return f"{type(model.refinement).__name__} takes gradient steps for each x, and an export holds no gradient"
        return None


class Encoder(Part):
    """q(z|x): mean and standard deviation (N, d), and for a codebook the index of the code at each position (N, n)."""

    inputs = ("x",)
    requires = ("inference", "encoder")

    def __init__(self, model: LatentVariableModel) -> None:
        super().__init__(model)
        self.outputs = ("mean", "scale") if model.draws_vary else ("mean", "scale", "indices")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        q: Any = self.model.encode(self.batch(x))
        moments = q.mean, q.variance.clamp(min=0).sqrt()
        return moments if self.model.draws_vary else (*moments, q.indices)


class Decoder(Part):
    """E[x|z] (N, *event) in the data's own units."""

    inputs, outputs = ("z",), ("mean",)

    def forward(self, z: Tensor) -> tuple[Tensor]:
        return (in_own_units(self.model.decode(z)).mean,)


class Scorer(Part):
    """log p(x|z) and log p(z) (N,) in nats, for pairs of x and z."""

    inputs, outputs = ("x", "z"), ("log_px", "log_pz")
    requires = ("inference", "encoder", "density")

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.decode(z).log_prob(self.batch(x).x), self.model.prior().log_prob(z)


@dataclass(frozen=True)
class Parts:
    """The parts that a model has, and for each other part the reason why it has none."""

    found: list[Part]
    left_out: dict[str, str]

    @classmethod
    def of(cls, model: LatentVariableModel) -> Parts:
        """The parts of a model in evaluation mode, without gradients."""
        reasons = {kind: kind.lacks(model) for kind in (Encoder, Decoder, Scorer)}
        found: list[Part] = [
            kind(model).eval().requires_grad_(False) for kind, reason in reasons.items() if reason is None
        ]
        return cls(found, {kind.__name__.lower(): reason for kind, reason in reasons.items() if reason})


@torch.no_grad()
def examples(model: LatentVariableModel, rows: int) -> dict[str, Tensor]:
    """Draws z ~ p(z) and x ~ p(x|z), by the names of the inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        z = model.prior().sample(torch.Size((rows,)))
        return {"z": z, "x": in_own_units(model.decode(z)).sample()}
