"""Every number of a data split under a model without an encoder, which has no bound: how its draws compare with x."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vae_cli.batch import Batch
from vae_cli.config.schema import EvaluateConfig
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.evaluation import DatasetInfo, Number
from vae_cli.evaluation.optional import optional
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives.divergences import RBFMMD

FIRST = 2000
"""Images compared; the time that takes grows with their square."""


class Generation(nn.Module):
    """Accumulates a split batch by batch as `Evaluation` does; `compute` gives flat names.

    sample_mmd: unbiased squared MMD between the first `FIRST` images and as many means E[x|z], z ~ p(z), under an RBF
    kernel by the median heuristic (Gretton et al. 2012, section 8): 0 in expectation where the two are alike, and then
    as often negative. No unit; of standardised data, so that every column counts alike. examples: of the split. No
    example is left out.
    """

    def __init__(self, settings: EvaluateConfig, facts: DatasetInfo) -> None:
        super().__init__()
        self.settings, self.facts = settings, facts
        self.rows: AdaptiveChunks | None = None
        self.left_out: list[int] = []
        self.reset()

    def update(self, model: LatentVariableModel, batch: Batch) -> None:
        """Add a batch, in parts that keep within the memory budget."""
        self.examples += len(batch)
        if self.rows is None:
            self.rows = rows_at_once(model, batch.x.device, self.settings.memory_mb)
        compared = batch.part(0, FIRST - sum(map(len, self.x)))
        for drawn in self.rows.map(compared, lambda part, _: model.sample(len(part))):
            self.drawn.append(drawn.flatten(1).float())
        self.x.append(compared.x.flatten(1).float())

    @torch.no_grad()
    def compute(self) -> dict[str, Number]:
        """The numbers of all batches so far; a single image has no unbiased estimate."""
        x, drawn = torch.cat(self.x), torch.cat(self.drawn)
        results: dict[str, Number] = {"examples": self.examples}
        if len(x) > 1:
            with optional("sample_mmd"):
                results["sample_mmd"] = float(RBFMMD(bandwidths=None, unbiased=True)(drawn, x))
        return results

    def reset(self) -> None:
        """Forget all batches."""
        self.examples = 0
        self.x: list[Tensor] = []
        self.drawn: list[Tensor] = []
