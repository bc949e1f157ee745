"""A sweep or a search: each of its jobs, checked before the first one starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vae_cli.config import signatures
from vae_cli.config.check import check
from vae_cli.config.compose import COMMAND_LINE, Composer, parse
from vae_cli.config.folder_checks import creatable, initial, installed, readable
from vae_cli.config.schema import ClusterConfig, TrainConfig
from vae_cli.config.search import searches, submits, unlike
from vae_cli.config.series import Series, without_hydra
from vae_cli.distributed.progress import track
from vae_cli.errors import ConfigError, causes, first_line
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.run_files import CONFIG, STATUS, SUPERSEDED

EARLIER = 60
"""Seconds by which SLURM may send the signal of a time limit before the notice."""
FIRST = {"min_resource", "n_warmup_steps"}
"""Names that pruners of Optuna have for the number of epochs before the first decision."""


def check_sweep(common: Series, master: DictConfig, lines: list[str]) -> list[list[str]]:
    """Check each job of a grid; for a search, which chooses its own values, each listed value. Their overrides.

    Args:
        common: has composed `master`, the configuration without the values that vary
    """
    composer = common.composer
    if master.resume is not None:
        raise ConfigError(f"resume={master.resume}: continues a single run ({COMMAND_LINE}); remove --multirun")
    if master.reproduce is not None:
        raise ConfigError(f"reproduce={master.reproduce}: starts a single run ({COMMAND_LINE}); remove --multirun")
    creatable(Path(master.hydra.sweep.dir), "hydra.sweep.dir")
    _check_cluster(master)
    parsed = parse(lines)
    fixed = [o.input_line or "" for o in parsed if o.is_hydra_override()]
    params = OmegaConf.select(master, "hydra.sweeper.params") or {}  # other sweepers may have none
    preset = parse([f"{key}={value}" for key, value in params.items()])
    varied = list({o.get_key_element(): o for o in [*preset, *parsed] if not o.is_hydra_override()}.values())
    for override in varied:
        if override.is_sweep_override() and not override.is_discrete_sweep() and not searches(master):
            problem = f"{override.input_line}: names no values ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; list them, as in seed=1,2, or search with hparams_search=optuna")
        if override.is_sweep_override() and override.key_or_group == "name":
            problem = f"{override.input_line}: a sweep has one name ({COMMAND_LINE})"
            raise ConfigError(f"{problem}, its jobs have the names of their overrides; give one")
        if override.is_sweep_override() and override.key_or_group == "seed" and searches(master):
            problem = f"{override.input_line}: a search would choose the best seed ({COMMAND_LINE})"
            raise ConfigError(f"{problem}; give one, and train the best trial with several")
    jobs = _trials(varied) if searches(master) else BasicSweeper.split_arguments(varied, None)[0]
    trials, checked = list[DictConfig](), list[tuple[TrainConfig, Callable[[str], str]]]()
    series = Series(composer, lambda overrides: without_hydra(common.config(overrides)))
    sweep = Path(master.hydra.sweep.dir)
    least = _least_notice(sweep) if submits(master) else 0
    for job in track(jobs, "checking the jobs"):
        overrides = [*fixed, *composer.tidy(job)]
        config = series.config(overrides)
        where = partial(composer.where, overrides)
        parsed = check(config, where)
        initial(parsed)
        checked.append((parsed, where))
        if submits(master):
            _check_notice(parsed.cluster, least, where)
            _check_pack(parsed, where)
        if searches(master):
            _check_search(composer, parsed, overrides)
            _check_pruner(parsed, where)
            trials.append(config)
            if fault := unlike(trials[0], config):
                raise ConfigError(
                    f"{fault} ({where(fault.key)}); use one of them, or a sweep: vae-train -m without hparams_search"
                )
    for parsed, where in checked:
        installed(parsed, where)
        if not submits(master):  # a node of the cluster may see other folders than this machine
            readable(parsed, where)
    if trials:
        _check_earlier(trials[0], sweep)
    return jobs


def _check_earlier(trial: DictConfig, folder: Path) -> None:
    """A continued search compares its trials with those of earlier starts."""
    for file in [*folder.glob(f"*/{CONFIG}"), *folder.glob(f"{SUPERSEDED}/*/{CONFIG}")]:
        run = RunFolder(file.parent)
        if fault := unlike(run.config(), trial):
            raise ConfigError(f"{fault} ({run} has the first); use another hydra.sweep.dir")


def _check_search(composer: Composer, config: TrainConfig, overrides: list[str]) -> None:
    """Refuse a search without a validation bound, by which it chooses."""
    if ("val_size", 0) in config.dataset.arguments.items():
        where = composer.where(overrides, "dataset.val_size")
        raise ConfigError(
            f"dataset.val_size=0: a search needs validation data ({where}); use dataset.val_size=0.1, or a sweep"
        )
    objective = config.objective
    if "selection" not in signatures.read(objective.target).provides:
        where = composer.where(overrides, "objective._target_")
        raise ConfigError(
            f"objective {objective.target}: has no bound for a search to choose by ({where}); use a sweep"
        )


def _check_pruner(config: TrainConfig, where: Callable[[str], str]) -> None:
    """Refuse a pruner that Optuna refuses, or that begins when a trial ends."""
    if "pruning" not in config.callbacks:
        return
    settings = config.callbacks["pruning"].arguments["pruner"]
    key, epochs = "callbacks.pruning.pruner", config.trainer.max_epochs
    try:
        instantiate(settings)
    except Exception as error:
        raise ConfigError(f"{key}: {first_line(next(reversed(causes(error))))} ({where(key)})") from None
    for name in FIRST & settings.keys():
        if settings[name] >= epochs and not config.second_stage:
            problem = f"{key}.{name}={settings[name]}: a pruner has to begin before epoch {epochs}, the last"
            raise ConfigError(f"{problem} ({where(f'{key}.{name}')}); use {key}.{name}={max(1, epochs // 4)}")


def _check_cluster(master: DictConfig) -> None:
    """Jobs are submitted from where SLURM is, and a search needs their results."""
    if not submits(master):
        return
    if not shutil.which("sbatch"):
        raise ConfigError(f"cluster=slurm: this machine has no sbatch ({COMMAND_LINE}); submit from a login node")
    if searches(master) and not master.cluster.wait:
        raise ConfigError(f"cluster.wait=false: a search waits for results ({COMMAND_LINE}); use cluster.wait=true")


def _least_notice(sweep: Path) -> int:
    """Seconds in which each run of a sweep that has begun can save; 0 where none has."""
    found = (RunFolder(file.parent).status() for file in sweep.glob(f"*/{STATUS}"))
    return max((status.least_notice for status in found if status), default=0)


def _check_notice(cluster: ClusterConfig, least: int, where: Callable[[str], str]) -> None:
    """Refuse a notice that is shorter than the jobs need to save, and a time limit that is hardly longer than it.

    SLURM may announce the limit a minute early, and would do so as soon as the job has begun.
    """
    time, notice = cluster.time, cluster.notice
    if notice < least:
        longer = f" cluster.time={(least + EARLIER) // 60 + 1}" if 60 * time <= least + EARLIER else ""
        raise ConfigError(
            f"cluster.notice={notice}: too short ({where('cluster.notice')}): a run of this sweep takes {least} s to "
            f"write its two checkpoints; use cluster.notice={least}{longer}"
        )
    if 60 * time > notice + EARLIER:
        return
    shorter = f"cluster.notice={30 * (time - 1)} or " if time > 1 else ""
    reason = "SLURM may announce the limit a minute earlier, and the job would stop as soon as it has begun"
    raise ConfigError(
        f"cluster.notice={notice}: too long for cluster.time={time} ({where('cluster.time')}): {reason}; "
        f"use {shorter}cluster.time={(notice + EARLIER) // 60 + 1}"
    )


def _check_pack(config: TrainConfig, where: Callable[[str], str]) -> None:
    """Refuse several jobs in one task where a job takes several tasks."""
    pack, devices = config.cluster.pack, config.trainer.devices
    processes = config.trainer.num_nodes * (devices if isinstance(devices, int) else len(devices))
    if processes > 1 and pack not in (1, "auto"):
        problem = f"cluster.pack={pack}: a run of several processes is alone in its SLURM job"
        raise ConfigError(f"{problem} ({where('cluster.pack')}); use cluster.pack=1, or trainer.devices=1")


def _trials(varied: Sequence[Override]) -> list[list[str]]:
    """Jobs in which each choice of a search, and each end of an interval, occurs once beside the first choices."""
    choices: list[list[str]] = []
    for override in varied:
        key, value = override.get_key_element(), override.value()
        if isinstance(value, IntervalSweep):
            choices.append([f"{key}={value.start}", f"{key}={value.end}"])
        elif override.is_sweep_override():
            choices.append([f"{key}={item}" for item in override.sweep_string_iterator()])
        else:
            choices.append([f"{key}={override.get_value_element_as_str()}"])
    first = [values[0] for values in choices]
    others = [[*first[:n], value, *first[n + 1 :]] for n, values in enumerate(choices) for value in values[1:]]
    return [first, *others]
