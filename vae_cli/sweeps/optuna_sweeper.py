"""Hydra sweeper: a search by Optuna, whose trials run as jobs of hydra's launchers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vae_cli.commands.failure import attempt, require
from vae_cli.config.compose import parse
from vae_cli.config.search import WORST, submits
from vae_cli.errors import ConfigError
from vae_cli.runs import study
from vae_cli.runs.layout import display
from vae_cli.sweeps.composing import ComposingLauncher
from vae_cli.sweeps.side_by_side import Shares
from vae_cli.sweeps.table import note

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Line = tuple[str, ...]


class Search(Sweeper):
    """Draws the values of each trial, until the study has `n_trials`.

    A search that was stopped resumes the trials that were running first. A trial with the values of an earlier one
    gets the score of that one.

    Args:
        n_trials: total number of trials, with those of earlier starts
        n_jobs: number of trials that run at a time; null: as many as the launcher runs
        sampler: Optuna's
        params: values and ranges by key, before those of the command line
    """

    def __init__(
        self, n_trials: int, n_jobs: int | None, sampler: DictConfig, params: DictConfig | None = None
    ) -> None:
        self.n_trials, self.n_jobs, self.sampler, self.params = n_trials, n_jobs, sampler, params or {}
        self.started = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.settings = config
        self.jobs: Any = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has all: a batch at a time, under SLURM a next one wherever one has ended."""
        preset = [f"{key}={value}" for key, value in self.params.items()]
        given = {override.get_key_element(): override for override in parse([*preset, *arguments])}
        space = {key: distribution(override) for key, override in given.items() if override.is_sweep_override()}
        fixed = {key: override.input_line or "" for key, override in given.items() if key not in space}
        found = require("vae-train", attempt(lambda: self._study(space)))
        if not submits(self.settings):  # SLURM may yet refuse the first jobs
            note(self.settings)
        interrupted = _interrupted(found)
        running: dict[Line, list[Trial]] = {}
        while (trials := self._next(found, space, interrupted, list(chain(*running.values())))) or running:
            known, new = _by_line(_ended(found)), list[Line]()
            for trial in trials:
                drawn = [f"{key}={value}" for key, value in trial.params.items()]
                line = (*drawn, *(line for key, line in fixed.items() if key not in trial.params))
                trial.set_user_attr(study.OVERRIDES, line)
                if line in known:
                    _tell([trial], WORST, known[line])
                elif line in running:
                    running[line].append(trial)
                else:
                    running[line] = [trial]
                    new.append(line)
            for line, score in self._run(new).items() if running else ():
                _tell(running.pop(line), score, _by_line(_ended(found)).get(line))

    def _study(self, space: dict[str, BaseDistribution]) -> Study:
        """The study in the sweep's folder, whose sampler does not repeat the draws of an earlier start."""
        folder = Path(self.settings.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        found = study.begin(folder)
        _same_choices(found.trials, space, folder)
        sampler = OmegaConf.to_container(self.sampler)
        assert isinstance(sampler, dict)
        if sampler.get("seed") is not None:
            sampler["seed"] += len(found.trials)
        found.sampler = instantiate(sampler)
        return found

    def _next(
        self, found: Study, space: dict[str, BaseDistribution], interrupted: list[Trial], running: Sequence[Trial]
    ) -> list[Trial]:
        """The trials that can begin beside the running ones: those that an earlier start has left, then new ones."""
        begun = {trial.number for trial in running}
        left = self.n_trials - len(begun.union(trial.number for trial in _ended(found)))
        size = min(left, (self.n_jobs or self._at_once(left)) - len(begun)) if left > 0 else 0
        again = [interrupted.pop(0) for _ in interrupted[:size]]
        return again + [found.ask(space) for _ in range(size - len(again))]

    def _at_once(self, left: int) -> int:
        """Number of jobs that the launcher runs at a time."""
        if isinstance(self.jobs, BasicLauncher) or (isinstance(self.jobs, ComposingLauncher) and self.jobs.in_a_row):
            return 1
        return self.settings.cluster.parallel if submits(self.settings) else Shares.of(self.settings, left).jobs

    def _run(self, lines: list[Line]) -> dict[Line, float]:
        """Start the jobs of trials; the scores of those that have ended, under SLURM of the next alone."""
        first, self.started = self.started, self.started + len(lines)
        if submits(self.settings):
            return {tuple(end.overrides): float(end.return_value) for end in self.jobs.ends(lines, first)}
        ends = self.jobs.launch(lines, initial_job_idx=first)
        return {line: float(end.return_value) for line, end in zip(lines, ends, strict=True)}


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution for a choice, a range or an interval."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None and value.end is not None
        log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        return FloatDistribution(value.start, value.end, log=log)
    if isinstance(value, RangeSweep) and not value.shuffle and isinstance(numbers := value.range(), range):
        return IntDistribution(min(numbers), max(numbers), step=abs(numbers.step))
    return CategoricalDistribution(tuple(override.sweep_string_iterator()))


def _tell(trials: Sequence[Trial], score: float, twin: FrozenTrial | None) -> None:
    """Tell the study how trials of one job have ended: as the first one, if the job has told that, or by the score."""
    from optuna.trial import TrialState

    for trial in trials:
        if twin and twin.state == TrialState.PRUNED:
            trial.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            trial.study.tell(trial, twin.value if twin else score, skip_if_finished=True)


def _interrupted(found: Study) -> list[Trial]:
    """The trials that an earlier start has left running."""
    from optuna import Trial
    from optuna.trial import TrialState

    left = found.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [Trial(found, trial._trial_id) for trial in left]


def _ended(found: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return found.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _by_line(trials: Sequence[FrozenTrial]) -> dict[Line, FrozenTrial]:
    return {tuple(trial.user_attrs[study.OVERRIDES]): trial for trial in trials}


def _same_choices(trials: Sequence[FrozenTrial], space: dict[str, BaseDistribution], folder: Path) -> None:
    """Refuse a list of choices that differs from that of earlier trials, which Optuna does not support."""
    from optuna.distributions import CategoricalDistribution, check_distribution_compatibility

    earlier: dict[str, Any] = {name: kind for trial in trials for name, kind in trial.distributions.items()}
    for name in space.keys() & earlier.keys():
        try:
            check_distribution_compatibility(earlier[name], space[name])
        except ValueError:
            old = earlier[name]
            chosen = ",".join(map(str, old.choices)) if isinstance(old, CategoricalDistribution) else "an interval"
            raise ConfigError(
                f"{name}: the study in {display(folder)} chooses from {chosen}, "
                "which cannot change; use the choices of the study, or another hydra.sweep.dir"
            ) from None
