"""A run's folder: the names of its files, and how each is read and written. Imports torch to read a checkpoint only."""

from __future__ import annotations

import csv
import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig

from vae_cli.errors import ConfigError, UserError, first_line, warn
from vae_cli.runs import overrides, saved_config
from vae_cli.runs.atomic_files import keep_as, remove_partial, write_json, write_text_atomically
from vae_cli.runs.layout import display
from vae_cli.runs.lock import LOCK, held
from vae_cli.runs.overrides import Typed
from vae_cli.runs.run_files import CONFIG, OVERRIDES, SLURM_LOG, STATUS, SUPERSEDED, RunFiles, modified
from vae_cli.runs.status import UNFINISHED, Start, State, Status

if TYPE_CHECKING:
    from vae_cli.runs.checkpoints import Checkpoint

T = TypeVar("T")


@dataclass(frozen=True)
class RunFolder(RunFiles):
    """The folder of a run, which may be missing or come from elsewhere.

    A method without a suffix raises UserError, with the file and a remedy, where a file is damaged; `..._if_readable`
    takes a damaged file for a missing one.
    """

    @property
    def is_done(self) -> bool:
        """True if the run has finished."""
        return self.results_if_readable().get("status") == "done"

    def config(self) -> DictConfig:
        """The configuration: values only; ConfigError for other content, another format and links to elsewhere."""
        config = saved_config.read(self.config_file)
        self._refuse_links()
        return config

    def _refuse_links(self) -> None:
        """Refuse links by which a file that is written into this folder would land elsewhere."""
        for path in [*self.path.iterdir(), *self.checkpoints.glob("*")]:
            if path.is_symlink() and path.name != SLURM_LOG and not path.resolve().is_relative_to(self.path.resolve()):
                place = f"{self}/{path.relative_to(self.path)}"
                problem = f"a link that leads out of the run's folder, to {path.resolve()}"
                raise ConfigError(f"{place}: {problem}; replace the link by the file")

    def begin(
        self,
        config: dict[str, Any] | DictConfig,
        typed: Sequence[str] = (),
        start: Start | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Write the configuration, and mark the results, those of an earlier start too, as those of an unfinished run.

        Args:
            typed: overrides of this start, which replace those of an earlier one
            start: this start; None: now, of a training that says no more
            facts: results that are known from the start, which a run that fails has, too
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if known := self.results_if_readable() | dict(facts or {}):
            numbers = {name: value for name, value in known.items() if name != "error"}
            self.write_results(numbers | {"status": UNFINISHED})
        self.write_status((self.status() or Status("running")).started(start or Start.now()))
        typed_before = self.typed_if_readable()
        if (now := typed_before.resumed(typed)) != typed_before:
            overrides.write(now, self.path / OVERRIDES)
        saved_config.write(config, self.config_file, shlex.join(["vae-train", *now.overrides]))

    def typed_if_readable(self) -> Typed:
        """The overrides and the options of the run."""
        return overrides.read(self.path / OVERRIDES)

    def write_typed(self, typed: Typed) -> None:
        """Keep the command line, unless that of an earlier start is here."""
        if not (self.path / OVERRIDES).exists():
            overrides.write(typed, self.path / OVERRIDES)

    def status(self) -> Status | None:
        """The state of the run while it waits or trains; None where none is readable."""
        try:
            return Status.parse((self.path / STATUS).read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write_status(self, status: Status | None) -> None:
        """Write the state of the run; None removes it."""
        if status:
            write_text_atomically(self.path / STATUS, json.dumps(asdict(status)) + "\n")
        else:
            (self.path / STATUS).unlink(missing_ok=True)

    def results(self) -> dict[str, Any]:
        """The numbers of the run and its final status; empty where it has written none."""
        return _parsed(self.results_file, _json_object, {})

    def results_if_readable(self) -> dict[str, Any]:
        """As `results`, and empty where the file is damaged."""
        try:
            return self.results()
        except UserError:
            return {}

    def write_results(self, results: Mapping[str, object]) -> None:
        """Write results.json; a number that is not finite becomes null."""
        write_json(self.results_file, results)

    def present_status(self) -> Status:
        """The state of the run that is alive in this process: its present start lasts until now."""
        return (self.status() or Status("running")).lasting(modified(self.checkpoint("last")))

    def write_end(self, state: str, error: str) -> None:
        """Add to the results that the run has ended otherwise than well; nothing where the disk is full."""
        try:
            self.finish(self.results_if_readable() | {"error": error}, state, error)
        except OSError:
            return  # the line on stderr says the same

    def finish(self, results: Mapping[str, Any], state: str, reason: str, *, alive: bool = False) -> dict[str, Any]:
        """Write the results of a run that has ended, with its starts, and then status.json; returns the results.

        alive: the run ends now, in this process
        """
        status = (self.present_status() if alive else self.status() or Status("running")).ended(reason)
        status = replace(status, state=state)  # pyright: ignore[reportArgumentType]
        full = {**results, "status": state, **status.results}
        self.write_results(full)
        self.write_status(status)
        return full

    def history(self) -> list[dict[str, float]]:
        """The numbers of each epoch, without empty cells; empty where no metrics.csv was written."""
        return _parsed(self.history_file, _rows, [])

    def steps(self) -> list[dict[str, float]]:
        """The numbers of single steps, without empty cells; empty where no steps.csv was written."""
        return _parsed(self.steps_file, _rows, [])

    def state(self) -> State:
        """The state of the run, from the files alone."""
        files = (self.path / STATUS, self.results_file)
        return State.of(self.results_if_readable(), self.status(), *map(modified, files))

    def newest_checkpoint(self) -> Checkpoint:
        """The newest checkpoint that a training can resume from; UserError names the fault of each file."""
        from vae_cli.runs import checkpoints

        faults = []
        for name in ("last", "previous"):
            try:
                if name == "last" or self.checkpoint(name).exists():
                    return checkpoints.load_training(self.checkpoint(name))
            except UserError as error:
                faults.append(str(error))
        best = self.checkpoint("best")
        start = f", with init={display(best)} from its weights" if best.is_file() else ""
        raise UserError(f"{'; '.join(faults)}; train in a new folder{start}")

    def repair(self, newest: Checkpoint) -> None:
        """Replace a damaged last checkpoint by the previous one, with a warning."""
        last, damaged = self.checkpoint("last"), self.checkpoints / "damaged.ckpt"
        if newest.path != last:
            keep_as(last, damaged)
            keep_as(newest.path, last)
            problem = f"is damaged (it is now {damaged.name})"
            warn(f"{display(last)} {problem}; the run resumes from the one before, {newest.path.name}")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the folder against other processes, and remove the partial files of killed ones."""
        with held(self.path, "training"):
            for folder in (self.checkpoints, self.figures):
                remove_partial(folder)
            yield

    def set_aside(self) -> RunFolder:
        """Move all files into a folder beside the jobs of the sweep; returns that.

        The configuration moves last, so that the next start repeats a move that was interrupted.
        """
        began = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(self.config_file.stat().st_mtime))
        aside = self.path.parent / SUPERSEDED / f"{self.name}_{began}"
        aside.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.path.iterdir(), key=lambda path: path.name == CONFIG):
            if path.name not in (LOCK, SLURM_LOG):
                path.rename(aside / path.name)
        return RunFolder(aside)

    def remove_if_empty(self) -> None:
        """Remove the folder of a run that was refused, where it holds no more than its overrides and its lock."""
        if {path.name for path in self.path.iterdir()} <= {OVERRIDES, LOCK}:
            for name in (OVERRIDES, LOCK):
                (self.path / name).unlink(missing_ok=True)
            if self.path != Path.cwd():
                self.path.rmdir()


def _parsed(file: Path, parse: Callable[[str], T], missing: T) -> T:
    """The content of a file, or `missing` where there is no file; UserError where it is damaged."""
    if not file.is_file():
        return missing
    try:
        return parse(file.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise UserError(f"{display(file)}: no permission to read it") from error
    except (OSError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(first_line(error).split())[:200]
        raise UserError(f"{display(file)}: not readable: {reason}; run it again, or delete the folder") from error


def _json_object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no names with values")
    return content


def _rows(text: str) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(text.splitlines())]
