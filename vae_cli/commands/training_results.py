"""The results of a training itself: its course, and facts of model and data."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from vae_cli.datasets import Data
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.terminal import say
from vae_cli.errors import warn
from vae_cli.runs.results import Results
from vae_cli.training.callbacks import History
from vae_cli.training.fit import selection_of
from vae_cli.training.lightning_module import LatentModelModule
from vae_cli.training.pruning import is_pruned
from vae_cli.training.selection import PhaseAwareEarlyStopping


def course(
    max_epochs: int, data: Data, module: LatentModelModule, trainer: pl.Trainer, history: History, best: int
) -> Results:
    """The course of training: its length, the reason of its end, the epoch that is kept."""
    rows, selection = history.rows, selection_of(data, module)
    patience = next((one for one in trainer.checkpoint_callbacks if isinstance(one, PhaseAwareEarlyStopping)), None)
    reasons = (getattr(one, "reason", None) for one in trainer.checkpoint_callbacks)
    early = next(filter(None, reasons), "a callback" if len(rows) < module.epochs else None)
    summary: Results = {"train/epochs": len(rows), "train/steps": trainer.global_step}
    summary |= {"train/stopped": early or f"trainer.max_epochs={max_epochs}"}
    summary |= {"train/best_epoch": best, "train/best_by": selection.words(rows)}
    if seconds := sum(row["train/seconds"] for row in rows):
        examples = sum(row["train/samples_per_second"] * row["train/seconds"] for row in rows)
        summary["train/samples_per_second"] = examples / seconds
    if selection.monitor:
        summary[selection.monitor] = rows[best - 1][selection.monitor]
    if early and is_rank_zero() and not is_pruned(trainer):
        trained = f"stopped at epoch {len(rows)} by" if not (patience and patience.at_once) else "no epoch was trained:"
        remedy = "; set trainer.patience=null to continue" if patience and patience.reason else ""
        say(f"{trained} {early}{remedy}")
    if selection.monitor and not selection.candidates(rows) and is_rank_zero():
        warn(f"{selection.monitor} was finite at no epoch: the weights are those of the last one, epoch {best}")
    return summary


def facts(data: Data, module: LatentModelModule) -> Results:
    """Facts of model and data."""
    summary: Results = dict(module.origin.results)
    summary["threads"] = torch.get_num_threads()
    summary["model/parameters"] = sum(p.numel() for p in module.model.parameters())
    summary |= {"data/name": data.name, "data/sha256": data.sha256, "data/domain": data.domain}
    summary["data/standardised"] = data.standardisation is not None
    if data.standardisation:
        summary["data/log_scale"] = data.standardisation.log_scale  # log p(x) = log p(standardised x) - this
    if data.class_names:
        summary["data/class_names"] = list(data.class_names)
    summary |= {f"data/{split}_size": len(getattr(data, split)) for split in ("train", "val", "test")}
    return summary
