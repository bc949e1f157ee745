"""A run that resumes in its own folder, or is reproduced in a new one: the values that may change."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.check import check_rules
from vae_cli.config.compose import COMMAND_LINE, Composer, parse
from vae_cli.config.parse import parsed_as
from vae_cli.config.schema import Node, TrainConfig
from vae_cli.config.settings import keys_that
from vae_cli.config.sources import line_of
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.find import newest_instead
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import display
from vae_cli.runs.overrides import REQUESTS
from vae_cli.runs.run_files import CONFIG, LAST

RUN_DIR = "hydra.run.dir"
ASKING = (*REQUESTS, RUN_DIR)
UNKNOWN = object()


def folder_to_resume(config: DictConfig, composer: Composer, overrides: Sequence[str]) -> RunFolder | None:
    """The run to resume, or None for a new one; a folder in use is refused."""
    parsed = parse(overrides)
    groups = [override.input_line for override in parsed if composer.is_group(override)]
    given = any(override.key_or_group == RUN_DIR for override in parsed)
    own = RunFolder(Path(config.hydra.run.dir).absolute())
    if config.resume is not None:
        if config.reproduce is not None:
            both = f"resume={config.resume} and reproduce={config.reproduce}"
            raise ConfigError(f"{both}: each starts from a run ({COMMAND_LINE}); remove one of them")
        if given:
            raise ConfigError(f"resume={config.resume} continues in that folder; remove {RUN_DIR} ({COMMAND_LINE})")
        run = RunFolder(Path(str(config.resume)).absolute())
        _complete(run)
    elif config.ckpt == "last" and given:
        return own if own.has_checkpoint else None
    elif config.ckpt == "last":
        raise ConfigError(f"ckpt=last: of which run? ({COMMAND_LINE}); use resume=last, or set {RUN_DIR}")
    else:
        if given and is_rank_zero():
            refuse_used(own)
        return None
    _refuse_groups(groups, "a resumed run", "trainer.max_epochs=40")
    return run


def refuse_used(run: RunFolder) -> None:
    """Refuse to start a new run in the folder of an earlier one."""
    if not run.has_run:
        return
    saved = run.checkpoint("last").is_file()
    remedy = f"use resume={run} to continue it" if saved else "it has no checkpoint yet: ckpt=last starts it again"
    raise ConfigError(f"{RUN_DIR}={run}: holds a run already ({COMMAND_LINE}); {remedy}, or use another folder")


def resumed(run: RunFolder, composer: Composer, overrides: Sequence[str]) -> TrainConfig:
    """The run's own configuration with the values of the command line, checked; `resume` is its folder."""
    return _changed(run, composer, overrides, RESUMED, {"resume": str(run.path), "ckpt": None})


def reproduced(run: RunFolder, composer: Composer, overrides: Sequence[str]) -> TrainConfig:
    """The configuration of a finished run for a new one that is to end with its numbers, checked."""
    if not run.has_config:
        problem = "not the folder of a run" if run.path.is_dir() else "no such folder"
        raise ConfigError(f"reproduce={run}: {problem} ({COMMAND_LINE}); {newest_instead('reproduce')}")
    if not run.is_done:
        problem = f"{run.state().name}, without numbers to compare"
        raise ConfigError(f"reproduce={run}: {problem} ({COMMAND_LINE}); end it first: use resume={run}")
    groups = [override.input_line for override in parse(overrides) if composer.is_group(override)]
    _refuse_groups(groups, "a reproduction", "trainer.accelerator=cpu")
    fixed = {"reproduce": str(run.path), "resume": None, "ckpt": None, "name": None}
    return _changed(run, composer, overrides, REPRODUCED, fixed)


@dataclass(frozen=True)
class _Way:
    """A way to start from the configuration of a run: its name, and the keys that may change."""

    name: str
    keys: tuple[str, ...]

    def allows(self, key: str) -> bool:
        return any(f"{key}.".startswith(f"{name}.") for name in self.keys)

    @property
    def remedy(self) -> str:
        return f"it can change {', '.join(self.keys)}"


RESUMED = _Way("a resumed run", keys_that(lambda one: one.on_resume))
MACHINE = keys_that(lambda one: one.on_resume and not one.distinguishes)
REPRODUCED = _Way("a reproduction", (*MACHINE, "dataset.path"))


def _changed(
    run: RunFolder, composer: Composer, overrides: Sequence[str], way: _Way, fixed: dict[str, str | None]
) -> TrainConfig:
    """The configuration of a run with `fixed` values and those of the command line, checked."""
    changes = value_overrides(composer, overrides)
    config, new = run.config(), []
    saved = parsed_as(TrainConfig, config, lambda key: place(run, key))
    for key, value in fixed.items():
        OmegaConf.update(config, key, value, force_add=True)
    for override in changes:
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        if key == "init" and value:
            value = str(Path(str(value)).expanduser().absolute())  # as the run keeps it
        old = OmegaConf.select(config, key, default=UNKNOWN)  # the check refuses an unknown key
        new += [override] if old is UNKNOWN else []
        same = old is UNKNOWN or (not override.is_delete() and old == value)
        if not same and (override.is_delete() or not way.allows(key)):
            raise ConfigError(f"{override.input_line}: {way.name} keeps this ({COMMAND_LINE}); {way.remedy}")
        try:
            OmegaConf.update(config, key, value, merge=True, force_add=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{override.input_line}: {first_line(error)} ({COMMAND_LINE})") from None

    def where(key: str) -> str:
        names = [override.key_or_group for override in changes]
        if any(key == name or key.startswith(f"{name}.") for name in names):
            return COMMAND_LINE
        return place(run, key)

    def accepts(key: str) -> bool:
        return "." in key and way.allows(key)

    parsed = parsed_as(TrainConfig, config, where, accepts)
    check_rules(parsed, where, accepts, saved)
    for override in new:
        if not way.allows(override.key_or_group):
            problem = f"not set by the run ({COMMAND_LINE})"
            raise ConfigError(f"{override.input_line}: {problem}; {way.remedy}")
    return parsed


def place(run: RunFolder, key: str) -> str:
    """The line of a run's config.yaml that sets a key, or the file."""
    line = line_of(run.config_file, key)
    return display(run.config_file) + (f":{line}" if line else "")


def same_choices(saved: TrainConfig, composed: DictConfig, run: RunFolder) -> None:
    """Refuse to resume a run whose classes are not the ones that the command line chooses."""
    for key, node in vars(saved).items():
        old = node.target if isinstance(node, Node) else None
        chosen = composed[key]
        if old != (new := chosen.get("_target_") if isinstance(chosen, DictConfig) else None):
            raise ConfigError(
                f"ckpt=last: {run} holds a run with {key} {old}, not {new} ({COMMAND_LINE}); "
                f"use its choices, or another {RUN_DIR}"
            )


def value_overrides(composer: Composer, overrides: Sequence[str]) -> list[Override]:
    """The overrides that change a value of a run: neither the choice of an option nor the request to resume."""
    parsed = [override for override in parse(overrides) if not override.is_hydra_override()]
    return [o for o in parsed if o.key_or_group not in ASKING and not composer.is_group(o)]


def _refuse_groups(groups: Sequence[str | None], name: str, example: str) -> None:
    """Refuse a choice of options for a run that has chosen."""
    if groups:
        remedy = f"change values only, as in {example}, or start a new run"
        raise ConfigError(f"{groups[0]}: {name} keeps its choices ({COMMAND_LINE}); {remedy}")


def start_again(run: RunFolder) -> str:
    """The remedy for a run that has saved no checkpoint: it begins anew in its folder."""
    place = shlex.quote(f"{RUN_DIR}={run}")
    return f"it saved none; its own command with ckpt=last {place} starts it again"


def _complete(run: RunFolder) -> None:
    if run.saved_nothing:
        raise ConfigError(f"resume={run}: has no {LAST} ({COMMAND_LINE}); {start_again(run)}")
    for name, is_there in ((CONFIG, run.has_config), (LAST, run.has_checkpoint)):
        if not is_there:
            problem = f"has no {name}" if run.path.is_dir() else "no such folder"
            raise ConfigError(f"resume={run}: {problem} ({COMMAND_LINE}); {newest_instead('resume')}")
