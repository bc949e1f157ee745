"""Inference gaps of the first examples of a split."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.progress import task
from vae_cli.distributions.overflow import counted, finite_rows
from vae_cli.evaluation.averages import with_errors
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.inference_gaps import inference_gaps
from vae_cli.evaluation.metrics.metric import LEFT_OUT, Context, Metric, Number, Values, warn_left_out

AT_ONCE = 100
"""Examples at a time."""


class InferenceGaps(Metric):
    """log p(x) by annealed importance sampling, and the gaps between it and the ELBO (Cremer et al. 2018)."""

    title = "inference gaps"
    prefix = "gaps"
    numbers: ClassVar = (
        Number("images", "", "Examples of the split that the gaps are computed for (`evaluate.gaps.images`)."),
        *LEFT_OUT,
        Number("elbo", "nats", "ELBO of the encoder's q(z|x)."),
        Number("refined_elbo", "nats", "ELBO of the best Gaussian q(z|x), optimised for each example by itself."),
        Number("iw_log_likelihood", "nats", "Importance-weighted log-likelihood with the encoder's q(z|x)."),
        Number("refined_iw_log_likelihood", "nats", "Importance-weighted log-likelihood with the refined q(z|x)."),
        Number(
            "ais_log_likelihood",
            "nats",
            "Annealed importance sampling with Hamiltonian moves, in expectation a lower bound on log p(x).",
        ),
        Number(
            "ais_over_refined_iw",
            "nats",
            "ais_log_likelihood - refined_iw_log_likelihood: 0 within its error if both estimates are right.",
        ),
        Number("amortisation", "nats", "Amortisation gap: refined_elbo - elbo."),
        Number("approximation", "nats", "Approximation gap: ais_log_likelihood - refined_elbo."),
        Number("simulated_lower", "nats", "Lower bound on log p(x) of as many x drawn from the model."),
        Number("simulated_upper", "nats", "Upper bound on log p(x) of these x, by chains in the other direction."),
    )

    @classmethod
    def applies(cls, context: Context) -> bool:
        return context.settings.gaps is not None

    def compute(self) -> Values:
        model, settings, device = self.context.model, self.context.settings, self.context.device
        gaps, left_out = settings.gaps, []
        assert gaps is not None
        rows, left = rows_at_once(model, device, settings.memory_mb), gaps.images

        def measure(part: Batch, at_once: int) -> tuple[Tensor, dict[str, Tensor]]:
            return part.index, inference_gaps(model, part, at_once, gaps)

        images = task("images", gaps.images)
        with images as shown, torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            for batch in self.context.loader():
                for index, values in rows.map(batch.part(0, left), measure, most=AT_ONCE):
                    finite = finite_rows(values.values())
                    left_out += index[~finite].tolist()
                    self.means.update({name: value[finite] for name, value in values.items()})
                left -= min(left, len(batch))
                shown.reach(gaps.images - left)
                if not left:
                    break
        warn_left_out("gaps", left_out)
        means = with_errors(self.means.compute())
        return {"images": int(self.means.count), **counted(left_out), **means}
