"""An objective that goes wrong once, when a file in the working directory asks for it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from vae_cli.batch import Batch
from vae_cli.models.model import LatentVariableModel
from vae_cli.objectives import ELBO, Progress, Terms

HERE = Path(__file__).parent
PLUGIN = {"VAE_PLUGINS": "fragile", "PYTHONPATH": f"{HERE.parents[2]}{os.pathsep}{HERE}"}
"""What lets a command find the class below as `fragile.Fragile`."""


class Fragile(ELBO):
    """The ELBO, unless there is a file of one of these names, each of which does its work once.

    diverge: the first loss is NaN; interrupt: Ctrl-C in the second epoch; poison: a gradient there is NaN, the loss is
    not; vanish: the folder that the file names is deleted there
    """

    def forward(self, model: LatentVariableModel, batch: Batch, progress: Progress) -> Terms:
        terms = super().forward(model, batch, progress)
        if self.asked("diverge"):
            return replace(terms, loss=terms.loss * float("nan"))
        if progress.epoch <= 1:
            return terms
        if self.asked("interrupt"):
            raise KeyboardInterrupt
        if self.asked("poison"):
            nothing = 0 * sum(value.sum() for value in model.parameters())
            return replace(terms, loss=terms.loss + nothing.sqrt())  # 0, with a derivative that is infinite
        if folder := self.asked("vanish"):
            shutil.rmtree(folder)
        return terms

    @staticmethod
    def asked(name: str) -> str:
        """What is in such a file, if there is one; there is none the next time."""
        if not Path(name).exists():
            return ""
        content = Path(name).read_text() or name
        Path(name).unlink()
        return content
