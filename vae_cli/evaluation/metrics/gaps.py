"""Inference gaps of the first examples of a split."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.distributed.progress import task
from vae_cli.distributions.overflow import counted, finite_rows
from vae_cli.evaluation import numbers
from vae_cli.evaluation.averages import with_errors
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.inference_gaps import inference_gaps
from vae_cli.evaluation.metrics.metric import Context, Metric, Values, warn_left_out

AT_ONCE = 100
"""Examples at a time."""


class InferenceGaps(Metric):
    """log p(x) by annealed importance sampling, and the gaps between it and the ELBO (Cremer et al. 2018)."""

    title = "inference gaps"
    prefix = "gaps"
    numbers: ClassVar = numbers.GAPS

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
