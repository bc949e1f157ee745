"""Bounds under a mixture prior with an explicit q(c|x) (Jiang et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from vae_cli.batch import Batch
from vae_cli.distributions.mixtures import (
    assigned_rate,
    expected_log_joint,
    is_mixture,
    log_joint,
    log_responsibilities,
)
from vae_cli.distributions.precision import float32
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import Trace, total
from vae_cli.objectives.annealing import Annealing
from vae_cli.objectives.augmentation import jittered
from vae_cli.objectives.elbo import ELBO
from vae_cli.objectives.objective import Progress, Terms
from vae_cli.types import Fraction, NonNegativeFloat


class VaDEAnalytic(ELBO):
    """The ELBO of VaDE with q(c|x) = gamma, the optimal one that depends on x alone, in closed form.

    gamma = softmax_c(log pi_c + E_q log p(z|c)), so that the rate is -H(q) - logsumexp_c(log pi_c + E_q log p(z|c)),
    which exceeds that of the marginal mixture by E_q KL(gamma || p(c|z)) (Jiang et al. 2017, eq. 12).
    """

    provides: ClassVar = ("inference", "rate", "selection")
    requires: ClassVar = {"posterior": ("inference", "density", "entropy"), "prior": ("mixture",)}

    def rates(self, trace: Trace, batch: Batch) -> list[Tensor]:
        """KL(q(z|x) gamma || p(z, c)), (B, 1)."""
        return [assigned_rate(p, q, log_responsibilities(p, q)).unsqueeze(-1) for q, p in _mixtures(trace)]


class VaDE(ELBO):
    """The ELBO of VaDE as published: gamma = p(c|z) at each sample z ~ q (Jiang et al. 2017, eq. 12, 16).

    This gamma depends on z but counts as q(c|x), so the rate is at least that of `VaDEAnalytic`.
    """

    provides: ClassVar = ("inference", "rate", "selection")
    requires: ClassVar = {"posterior": ("inference", "density", "entropy"), "prior": ("mixture",)}

    def rates(self, trace: Trace, batch: Batch) -> list[Tensor]:
        """KL(q(z|x) gamma || p(z, c)), mean over the samples, (B, 1)."""
        return [
            total(assigned_rate(p, q, log_joint(p, z).log_softmax(-1)) for z in latent.z).unsqueeze(-1) / self.samples
            for latent, (q, p) in zip(trace.latents, _mixtures(trace), strict=True)
        ]


class FixedAssignments(ELBO):
    """The ELBO with q(c|x) one-hot at a cluster c that is assigned to each training example.

    Args:
        classification_weight: weight of -log p(c|z), the classification loss of a semi-supervised VAE (Kingma et al.
            2014, eq. 9); in the ELBO a cluster counts at most log K nats, against some hundred of reconstruction
        augmentation: size of the random shifts of the image whose z is classified, in [0, 1]; they delay overfitting
            to wrong cluster labels
    """

    provides: ClassVar = ("inference", "rate", "selection")
    requires: ClassVar = {"posterior": ("inference", "density", "entropy"), "prior": ("mixture",)}

    def __init__(
        self,
        annealing: Annealing | None = None,
        *,
        beta: NonNegativeFloat,
        classification_weight: NonNegativeFloat,
        augmentation: Fraction,
    ) -> None:
        super().__init__(annealing, beta=beta, free_bits=0.0, samples=1)
        self.classification_weight, self.augmentation = classification_weight, augmentation
        self.assignments = torch.empty(0, dtype=torch.int64)

    def get_extra_state(self) -> Tensor:
        """The assignments (N,), for the checkpoint."""
        return self.assignments

    def set_extra_state(self, state: Tensor) -> None:
        self.assignments = state

    def cluster(self, batch: Batch) -> Tensor:
        """The assigned cluster of each example, (B, 1)."""
        self.assignments = self.assignments.to(batch.index.device)
        return self.assignments[batch.index].unsqueeze(-1)

    def rates(self, trace: Trace, batch: Batch) -> list[Tensor]:
        """KL(q(z|x) || p(z, c)) at the assigned c, (B, 1)."""
        ((q, p),) = _mixtures(trace)
        return [-expected_log_joint(p, q).gather(-1, self.cluster(batch)) - q.entropy().unsqueeze(-1)]

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        terms = super().forward(model, batch, progress)
        prior = model.prior()
        assert is_mixture(prior)
        moved = model.encode(Batch(jittered(batch.x, self.augmentation), batch.index))
        with float32():
            assignment_nll = -log_joint(prior, moved.rsample()).log_softmax(-1).gather(-1, self.cluster(batch)).mean()
        loss = terms.loss + self.classification_weight * assignment_nll
        return Terms(loss, {**terms.metrics, "loss": loss, "assignment_nll": assignment_nll})


def _mixtures(trace: Trace) -> Iterator[tuple[Distribution, MixtureSameFamily]]:
    """q and p of each latent whose prior has components; the configuration's rules ensure that all have."""
    for latent in trace.latents:
        assert is_mixture(latent.p)
        yield latent.q, latent.p
