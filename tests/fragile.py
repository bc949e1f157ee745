"""An objective that goes wrong once, when a file in the working directory asks for it."""

import os
from dataclasses import replace
from pathlib import Path

from vae_cli.models import VAE
from vae_cli.objectives import ELBO, Terms
from vae_cli.trace import Batch

HERE = Path(__file__).parent
PLUGIN = {"VAE_PLUGINS": "fragile", "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
"""What lets a command find the class below as `fragile.Fragile`."""


class Fragile(ELBO):
    """The ELBO. A file `diverge` makes the first loss NaN, `interrupt` is Ctrl-C in the second epoch; either once."""

    def forward(self, model: VAE, batch: Batch) -> Terms:
        terms = super().forward(model, batch)
        if self.asked("diverge"):
            return replace(terms, loss=terms.loss * float("nan"))
        if self.epoch > 1 and self.asked("interrupt"):
            raise KeyboardInterrupt
        return terms

    @staticmethod
    def asked(name: str) -> bool:
        """Whether there is such a file; there is none the next time."""
        if there := Path(name).exists():
            Path(name).unlink()
        return there
