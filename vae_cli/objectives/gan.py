"""Objectives with a divergence of x: generative adversarial networks, with an encoder and without one.

Shape legend: B batch, D entries of x, d latent dimensions.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.shard import draw_rows
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.annealing import Annealing
from vae_cli.objectives.divergences import Divergence, ImageDiscriminator
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.types import NonNegativeFloat


class GANLoss(Objective):
    """D(E[x|z], x), z ~ p(z), for a model without an encoder; there is no bound.

    With a discriminator it is a generative adversarial network (Goodfellow et al. 2014), with MMD a generative moment
    matching network (Li et al. 2015). It draws as many z as the batch has examples.
    """

    provides: ClassVar = ("divergence",)
    requires: ClassVar = {"divergence": ("compares_x",)}

    def __init__(self, divergence: Divergence) -> None:
        super().__init__()
        self.divergence = divergence

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        x, generated = batch.x.flatten(1), means(model, draws(model, len(batch)))
        divergence = self.divergence(generated, x)
        loss, metrics = divergence, {"divergence": divergence}
        if discriminator := self.divergence.discriminator_loss(generated, x):
            loss, metrics = loss + discriminator.loss, metrics | discriminator.metrics
        return Terms(loss, {"loss": loss, **metrics})


class VAEGAN(Objective):
    """beta rate + 1/2 |f(x) - f(E[x|z])|^2 + adversarial D(generated, x) (Larsen et al. 2016, eq. 8 and algorithm 1).

    f are features of the discriminator, which learns from its own loss alone. The squared distance is summed over them
    and averaged over z ~ q(z|x). `generated` are the means at z ~ q, with no gradient into q (section 3.2), and at as
    many z ~ p(z). The distortion is that of x, so that the logged ELBO is a bound, which training does not maximise.

    Args:
        beta: weight of the rate
        adversarial: weight of D(generated, x)
    """

    provides: ClassVar = ("inference", "rate", "divergence")
    requires: ClassVar = {"posterior": ("inference", "density"), "divergence": ("compares_x", "features")}
    anneals: ClassVar = ("beta", "adversarial")

    def __init__(
        self,
        divergence: ImageDiscriminator,
        annealing: Annealing | None = None,
        *,
        beta: NonNegativeFloat,
        adversarial: NonNegativeFloat,
    ) -> None:
        super().__init__(annealing)
        self.divergence, self.beta, self.adversarial = divergence, beta, adversarial

    def feature_distortion(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """1/2 |f(x) - f(x~)|^2, (B,), of x and x~ (B, D)."""
        features = self.divergence.features
        return (features(x) - features(reconstruction)).square().sum(-1) / 2

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        trace = model.trace(batch, model.encode(batch), 1)
        x, reconstruction = batch.x.flatten(1), trace.likelihood.mean[0].flatten(1)
        z = torch.cat([latent.z[0].flatten(1) for latent in trace.latents], -1)
        generated = means(model, torch.cat([z.detach(), draws(model, len(batch))]))
        divergence, discriminator = self.divergence(generated, x), self.divergence.discriminator_loss(generated, x)
        rate, features = trace.rate.mean(), self.feature_distortion(x, reconstruction).mean()
        loss = self.annealed("beta", self.beta, progress) * rate + features + discriminator.loss
        loss = loss + self.annealed("adversarial", self.adversarial, progress) * divergence
        named = {"feature_distortion": features, "divergence": divergence, **discriminator.metrics}
        return Terms.of(trace, loss, rate, **named)


def draws(model: LatentVariableModel, count: int) -> Tensor:
    """z ~ p(z), one for each of `count` examples, (count, d), without a gradient into the prior."""
    return draw_rows(model.prior().sample, count)


def means(model: LatentVariableModel, z: Tensor) -> Tensor:
    """E[x|z] of each z (N, d), (N, D)."""
    return model.decode(z.unsqueeze(0)).mean[0].flatten(1)
