"""The LightningModule, one for every system: it knows neither losses nor networks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim import Optimizer

from vae_cli.batch import Batch
from vae_cli.config.schema import EvaluateConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.datasets.noise import seed_of
from vae_cli.distributed.process_group import all_gather_object
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.distributed.shard import seed_draws
from vae_cli.distributions.overflow import finite_rows, named
from vae_cli.distributions.standardisation import furthest
from vae_cli.errors import UserError, warn
from vae_cli.evaluation.averages import Means
from vae_cli.evaluation.chunking import AdaptiveChunks
from vae_cli.evaluation.estimators import rows_at_once
from vae_cli.evaluation.evaluation import Evaluation
from vae_cli.evaluation.metrics.bounds import bound_terms
from vae_cli.models.model import HasOwnOptimizer, LatentVariableModel
from vae_cli.runs.origin import Origin
from vae_cli.training.blocks import Block
from vae_cli.training.phases import Phase, PhasePosition, phase_at

if TYPE_CHECKING:
    from vae_cli.training.engine import StepEngine


class LatentModelModule(LightningModule):
    """Trains `model` phase by phase, validates it at beta = 1, and hands test batches to `evaluation`.

    Args:
        settings: of the validation and the evaluation
        facts: of the data, which checkpoints keep

    Attributes:
        plan: all that determines the operators of its steps, but their values; None: unknown
    """

    def __init__(
        self,
        model: LatentVariableModel,
        phases: Sequence[Phase],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Callable[[float], float],
        settings: EvaluateConfig,
        facts: DatasetInfo,
    ) -> None:
        super().__init__()
        self.model, self.phases, self.settings, self.facts = model, tuple(phases), settings, facts
        self.evaluation: Evaluation | None = None  # of the test loop
        self.objectives = nn.ModuleList(phase.objective for phase in phases)
        self.automatic_optimization = False
        self.engine: StepEngine | None = None  # of the training loop
        self.plan: Hashable = None
        self.make_optimizer, self.schedule = optimizer, schedule
        self.base_rates: list[float] = []
        self.own_optimizers = tuple(part for part in model.modules() if isinstance(part, HasOwnOptimizer))
        self.origin = Origin()
        self.names: tuple[str, ...] = ()
        self.totals, self.examples, self.sums = torch.zeros(()), 0, torch.zeros(())
        self.validation = Means()
        self.steps_per_epoch, self.compiled = 1, False
        self.row: dict[str, float] = {}
        self.allow_zero_length_dataloader_with_multiple_devices = (
            True  # also with fewer validation batches than processes
        )
        self.rows: AdaptiveChunks | None = None
        self.overflowed: list[tuple[int, float]] = []
        self.warned = False

    @property
    def position(self) -> PhasePosition:
        """The phase of the current epoch."""
        return phase_at(self.phases, self.current_epoch)

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    def on_train_start(self) -> None:
        """Set the modes of the phase, also for a training that resumes within an epoch."""
        self.position.phase.set_modes(self.model)

    def on_train_epoch_start(self) -> None:
        """Set the modes of the phase; at its start the optimiser forgets the moments of earlier gradients."""
        self.position.phase.set_modes(self.model)
        if self.current_epoch == self.position.start:
            for optimizer in self.trainer.optimizers:
                optimizer.state.clear()

    def compile_objectives(self) -> None:
        """Compile the forward pass of each phase, when it runs first."""
        self.compiled = True
        for objective in self.objectives:
            objective.compile()

    def training_step(self, block: Block, batch_idx: int) -> None:
        """Train on a block of batches."""
        assert self.engine is not None
        self.engine.run(block)

    def add(self, rows: Sequence[Tensor], block: Block) -> None:
        """Add the sums of the terms of the batches of a block, each after its loss."""
        self.totals = self.totals.to(rows[0].device)
        for row in rows:
            self.totals = self.totals + row[1:]
        self.sums, self.examples = rows[-1][1:], self.examples + block.total

    def last_terms(self, block: Block) -> dict[str, float]:
        """Means of the terms over the last batch of the block that was trained last."""
        return {name: value / block.sizes[-1] for name, value in zip(self.names, self.sums.tolist(), strict=True)}

    def diverged(self, what: str, batch: str, term: str, step: int, x: Tensor | None = None) -> NoReturn:
        """End the training, because a loss or a parameter was not finite at a step; no checkpoint is written."""
        where = f"{what} epoch {self.current_epoch + 1}, {batch}step {step}"
        if x is not None and step == 0:
            raise UserError(f"{where}, before any update; the first term to go was {term}; {self._reach(x)}")
        now = self.named_parameters() if step == self.global_step else ()  # later steps have spoilt all of them
        broken = next((name for name, value in now if not value.isfinite().all()), None)
        first = f"to go was the parameter {broken}, in the update before" if broken else f"term to go was {term}"
        raise UserError(
            f"{where}; the first {first}. {'The last good checkpoint stays; a' if self._kept() else 'A'} "
            "lower optimizer.lr or trainer.gradient_clip_val=1 often helps"
        )

    def _reach(self, x: Tensor) -> str:
        """The largest entry of x (B, *event), and a way to make it smaller."""
        facts, reach = self.facts, furthest(x)
        if facts.standardisation:
            return f"{reach} standard deviations of its training rows: look for a mistake in the data"
        if facts.domain != "real":
            return f"{reach}, so the cause lies in the settings of the model or the objective"
        return f"{reach}; {'use dataset.standardise=true' if facts.name == 'array' else 'scale the data'}"

    def _kept(self) -> bool:
        """True if a checkpoint exists."""
        keepers = [one for one in self.trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint)]
        return any((Path(str(one.dirpath)) / f"{one.filename}{one.FILE_EXTENSION}").is_file() for one in keepers)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Terms of the bound of a batch, for every objective."""
        if self.rows is None:
            self.rows = rows_at_once(self.model, batch.x.device, self.settings.memory_mb)

        def terms(part: Batch, rows: int) -> dict[str, Tensor]:
            return bound_terms(self.model, part, self.model.encode(part), 1, rows)

        parts = list(self.rows.map(batch, terms))
        for values in parts:
            self.validation.update(values)
        finite = torch.cat([finite_rows(values.values()) for values in parts])
        if not finite.all():
            x = self.model.likelihood.original(batch.x[~finite]).flatten(1)
            extremes = x.gather(1, x.abs().argmax(1, keepdim=True)).flatten()
            self.overflowed += zip(batch.index[~finite].tolist(), extremes.tolist(), strict=True)

    def on_train_epoch_end(self) -> None:
        """Log the epoch, once: training terms, validation terms, learning rate."""
        row = dict[str, Tensor]()
        if self.examples:  # none if a user's callback stops the training as the epoch begins
            means = self.totals / self.examples
            row |= {f"train/{name}": mean for name, mean in zip(self.names, means, strict=True)}
        self.validation.gather()
        if self.validation.names:
            row |= {f"val/{name}": torch.tensor(m.mean) for name, m in self.validation.compute().items()}
        row["lr"] = torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._tell_overflow()
        self.trainer.callback_metrics.update(row)  # log_dict would put each value through an object of its own
        self.row = {name: float(value) for name, value in row.items()}
        self.totals, self.examples = torch.zeros(()), 0
        self.validation.reset()

    def _tell_overflow(self) -> None:
        """Warn once of validation examples whose bound is not finite."""
        rows = sorted(row for part in all_gather_object(self.overflowed) for row in part)
        self.overflowed = []
        if not rows or self.warned or not is_rank_zero():
            return
        if not self._is_finite():  # which ends the run
            return
        self.warned = True
        index, extreme = rows[0]
        warn(
            f"epoch {self.current_epoch + 1}: the bound of {named([row for row, _ in rows])} of the validation split, "
            f"counted from 0, is not finite ({len(rows)} of {int(self.validation.count)}); the entry of row {index} "
            f"that is farthest from 0 is {extreme:g}. No such epoch is chosen as the best, nor ends the run"
        )

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the evaluation, with a seed that depends on the batch and not on its process."""
        assert self.evaluation is not None
        seed_draws(seed_of(self.evaluation.context.settings.seed, "evaluation", int(batch.index[0])))
        self.evaluation.update(batch)

    def configure_optimizers(self) -> Optimizer:
        """One optimiser for model and objectives."""
        optimizer = self.make_optimizer(self.parameters())
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def set_rates(self, optimizer: Optimizer, step: int, position: PhasePosition | None = None) -> None:
        """Set the learning rate of a step: the schedule at the fraction of its epochs that is done.

        The schedule runs once in each phase and those that follow it; `position` is that of the step, where known.
        """
        epoch = step / self.steps_per_epoch
        position = position or phase_at(self.phases, int(epoch))
        factor = self.schedule((epoch - position.start) / (position.end - position.start))
        for group, rate in zip(optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor

    def _is_finite(self) -> bool:
        """True if all parameters are finite, which a sum of them tells in a tenth of the time unless it overflows."""
        return all(value.sum().isfinite() or value.isfinite().all() for value in self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the facts of the data, so that a run's folder is enough to load it, and the sums of the current epoch."""
        if not self._is_finite():
            self.diverged("the parameters were no longer finite in", "", "", self.global_step)
        checkpoint["threads"] = torch.get_num_threads()
        checkpoint |= {"precision": self.trainer.precision, "compiled": self.compiled}
        checkpoint["sums"] = {"names": list(self.names), "totals": self.totals, "examples": self.examples}
        checkpoint["origin"] = self.origin.state
        checkpoint["data"] = {**asdict(self.facts), "event_shape": list(self.facts.event_shape)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the sums of an epoch that was interrupted."""
        sums = checkpoint["sums"]
        self.names, self.totals, self.examples = tuple(sums["names"]), sums["totals"], sums["examples"]

    def transfer_batch_to_device(
        self, batch: Batch | Block, device: torch.device, dataloader_idx: int
    ) -> Batch | Block:
        """Move a batch, unless the loader has put it on the device, as it does with those of a block."""
        return batch if isinstance(batch, Block) or batch.x.device == device else batch.to(device)
