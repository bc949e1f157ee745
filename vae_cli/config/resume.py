"""Going on with a run in its own folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_cli.config.check import check
from vae_cli.config.compose import COMMAND_LINE, Composer, line_of, parse
from vae_cli.config.schema import Node, TrainConfig, keys_that, setting_of
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import ConfigError, first_line
from vae_cli.runs.layout import CONFIG, LAST, display, holds_run, newest_run, outputs_folder
from vae_cli.runs.saved_config import read_config

RUN_DIR = "hydra.run.dir"
ASKING = ("resume", "ckpt", RUN_DIR)
UNKNOWN = object()
MAY_CHANGE = f"it can change {', '.join(keys_that(lambda one: one.on_resume))}"


def folder_to_resume(config: DictConfig, composer: Composer, overrides: Sequence[str]) -> Path | None:
    """The folder of the run that is to go on, or None for a new one; a folder in use is refused."""
    parsed = parse(overrides)
    groups = [override.input_line for override in parsed if composer.is_group(override)]
    given = Path(config.hydra.run.dir).absolute() if any(o.key_or_group == RUN_DIR for o in parsed) else None
    if config.resume is not None:
        if given:
            raise ConfigError(f"resume={config.resume} goes on in that folder; leave {RUN_DIR} out ({COMMAND_LINE})")
        folder = Path(str(config.resume)).absolute()
        _complete(folder)
    elif config.ckpt == "last" and given:
        return given if all((given / name).is_file() for name in (CONFIG, LAST)) else None
    elif config.ckpt == "last":
        newest = newest_run()
        if newest is None:
            root = display(outputs_folder() / "train")
            raise ConfigError(f"ckpt=last: no run in {root} has {LAST} ({COMMAND_LINE}); start one, or resume=DIR")
        folder = newest
    else:
        if given and is_rank_zero():
            refuse_used(given)
        return None
    if groups:
        raise ConfigError(
            f"{groups[0]}: a resumed run keeps its choices ({COMMAND_LINE}); "
            f"change values only, as in trainer.max_epochs=40, or start a new run"
        )
    return folder


def refuse_used(folder: Path) -> None:
    """Refuse to start a new run where there is one, and say how that goes on."""
    if not holds_run(folder):
        return
    saved = (folder / LAST).is_file()
    way = (
        f"resume={display(folder)} goes on with it" if saved else "it has no checkpoint yet: ckpt=last starts it again"
    )
    raise ConfigError(
        f"{RUN_DIR}={display(folder)}: holds a run already ({COMMAND_LINE}); {way}, or name another folder"
    )


def resumed(folder: Path, composer: Composer, overrides: Sequence[str]) -> TrainConfig:
    """The run's own configuration with the values of the command line, checked; `resume` is its folder."""
    changes = value_overrides(composer, overrides)
    config, new = read_config(folder), []
    for override in changes:
        key, value = override.key_or_group, None if override.is_delete() else override.value()
        if key == "init" and value:
            value = str(Path(str(value)).expanduser().absolute())  # as the run keeps it
        old = OmegaConf.select(config, key, default=UNKNOWN)  # a key that it has not is for the check to refuse
        new += [override] if old is UNKNOWN else []
        same = old is UNKNOWN or (not override.is_delete() and old == value)
        if not same and (override.is_delete() or not setting_of(key).on_resume):
            raise ConfigError(f"{override.input_line}: a resumed run keeps this ({COMMAND_LINE}); {MAY_CHANGE}")
        try:
            OmegaConf.update(config, key, value, merge=True, force_add=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{override.input_line}: {first_line(error)} ({COMMAND_LINE})") from None
    OmegaConf.update(config, "resume", str(folder))
    OmegaConf.update(config, "ckpt", None)

    def where(key: str) -> str:
        names = [override.key_or_group for override in changes]
        if any(key == name or key.startswith(f"{name}.") for name in names):
            return COMMAND_LINE
        line = line_of(folder / CONFIG, key)
        return display(folder / CONFIG) + (f":{line}" if line else "")

    parsed = check(config, where)
    for override in new:
        if not setting_of(override.key_or_group).on_resume:
            problem = f"not set by the run ({COMMAND_LINE})"
            raise ConfigError(f"{override.input_line}: {problem}; {MAY_CHANGE}")
    return parsed


def same_choices(saved: TrainConfig, composed: DictConfig, folder: Path) -> None:
    """Refuse to go on with a run whose classes are not the ones that the command line chooses."""
    for key, node in vars(saved).items():
        old = node.target if isinstance(node, Node) else None
        if old != (new := OmegaConf.select(composed, f"{key}._target_")):
            raise ConfigError(
                f"ckpt=last: {display(folder)} holds a run with {key} {old}, not {new} ({COMMAND_LINE}); "
                f"repeat its choices, or name another {RUN_DIR}"
            )


def value_overrides(composer: Composer, overrides: Sequence[str]) -> list[Override]:
    """The overrides that change a value of a run, rather than choose an option or ask for the resumption."""
    parsed = [override for override in parse(overrides) if not override.is_hydra_override()]
    return [o for o in parsed if o.key_or_group not in ASKING and not composer.is_group(o)]


def saved_nothing(folder: Path) -> bool:
    """Whether a run began here that has no checkpoint of any name."""
    return holds_run(folder) and not any(folder.joinpath(LAST.parent).glob("*.ckpt"))


def start_again(folder: Path) -> str:
    """How a run that has saved no checkpoint begins anew in its folder."""
    place = shlex.quote(f"{RUN_DIR}={display(folder)}")
    return f"it saved none; its own command with ckpt=last {place} starts it again"


def _complete(folder: Path) -> None:
    if saved_nothing(folder):
        raise ConfigError(f"resume={display(folder)}: has no {LAST} ({COMMAND_LINE}); {start_again(folder)}")
    for name in (CONFIG, LAST):
        if not (folder / name).is_file():
            newest = newest_run()
            hint = f"nearest: resume={display(newest)}" if newest else "name the folder of a run"
            problem = f"has no {name}" if folder.is_dir() else "no such folder"
            raise ConfigError(f"resume={display(folder)}: {problem} ({COMMAND_LINE}); {hint}")
