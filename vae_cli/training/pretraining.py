"""Pretraining: the networks learn to reconstruct, as an autoencoder, before a bound is optimised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vae_cli.batch import Batch
from vae_cli.capabilities import Capable
from vae_cli.distributions.distributions import Delta
from vae_cli.distributions.precision import float32
from vae_cli.models.layers import depth_of, outermost
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import Objective, Progress, Terms
from vae_cli.objectives.augmentation import masked
from vae_cli.training.phases import Phase
from vae_cli.types import Fraction, PositiveInt


class MeanReconstruction(Objective):
    """-log p(x | z = E_q[z|x~]), x~ the input with a fraction of it masked: a denoising autoencoder, nats."""

    provides: ClassVar = ("inference", "selection")
    requires: ClassVar = {"posterior": ("inference",)}

    def __init__(self, corruption: float) -> None:
        super().__init__()
        self.corruption = corruption

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        seen = Batch(masked(batch.x, self.corruption), batch.index)
        trace = model.trace(batch, Delta(model.encode(seen).mean), 1)
        return Terms.of(trace, trace.distortion.mean(), None)


class OuterLayers(Objective):
    """`MeanReconstruction` by the `depth` outermost layers of both networks, the hidden layer between them as z."""

    provides: ClassVar = ("inference", "selection")
    requires: ClassVar = {"posterior": ("inference",)}

    def __init__(self, depth: int, corruption: float) -> None:
        super().__init__()
        self.depth, self.corruption = depth, corruption

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        encoder, decoder = outermost(model.posterior.encoder, model.likelihood.decoder, self.depth)
        outputs = decoder(encoder(masked(batch.x, self.corruption))).float()
        with float32():
            distortion = -model.likelihood.scored(outputs).log_prob(batch.x).mean()
        return Terms(distortion, {"loss": distortion, "distortion": distortion})


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Capable):
    """All layers at once.

    Args:
        epochs: length of the phase
        corruption: fraction of each input that is masked; 0 is a plain autoencoder
    """

    requires: ClassVar = {"posterior": ("encoder", "continuous")}

    epochs: PositiveInt
    corruption: Fraction

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        return [Phase("pretraining", self.epochs, MeanReconstruction(self.corruption)), *phases]


@dataclass(frozen=True, kw_only=True)
class LayerWise(Capable):
    """Greedy layer-wise: the outermost pair of layers, then one more pair at a time, then all (Bengio et al. 2006).

    Args:
        layer_epochs: epochs at each depth
        epochs: epochs of the whole network at the end
        corruption: fraction of each input that is masked
    """

    requires: ClassVar = {"posterior": ("encoder", "continuous", "single_layer"), "network": ("mirrored",)}

    layer_epochs: PositiveInt
    epochs: PositiveInt
    corruption: Fraction

    def extend(self, phases: Sequence[Phase], model: LatentVariableModel) -> list[Phase]:
        layers = [
            Phase(f"pretraining layer {depth}", self.layer_epochs, OuterLayers(depth, self.corruption))
            for depth in range(1, depth_of(model.posterior.encoder) + 1)
        ]
        return [*layers, Phase("pretraining", self.epochs, MeanReconstruction(self.corruption)), *phases]
