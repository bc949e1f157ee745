"""The start of each command: parse, compose, check. Every fault is a ConfigError of one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from hydra._internal.utils import get_args_parser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_cli.config import resume
from vae_cli.config.check import check
from vae_cli.config.command_line import arguments, quoted, with_search_path
from vae_cli.config.command_schemas import RunCommandConfig
from vae_cli.config.compose import COMMAND_LINE, Composer, parse, session, show_typed
from vae_cli.config.data_file import expanded
from vae_cli.config.folder_checks import creatable, free, initial, installed, located, plain_names, readable
from vae_cli.config.job_names import EXCLUDED, JOBS, left_out
from vae_cli.config.search import searches, submits
from vae_cli.config.series import Series, with_own
from vae_cli.config.sources import Sources
from vae_cli.config.suggest import nearest
from vae_cli.config.sweep_checks import check_sweep
from vae_cli.distributed import slurm
from vae_cli.distributed.rank import is_rank_zero
from vae_cli.errors import ConfigError
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import DATA, PATHS, outputs_folder
from vae_cli.runs.overrides import quote

S = TypeVar("S")


@dataclass(frozen=True)
class Prepared:
    """A command line of `vae-train` that has passed the checks.

    Args:
        arguments: for hydra.main
        config: of the one run, composed; None for a sweep, and where hydra only shows something
        sweep: configuration of a sweep, composed
    """

    arguments: list[str]
    config: DictConfig | None = None
    sweep: DictConfig | None = None


def prepare_training(argv: Sequence[str]) -> Prepared:
    """Check every job that `vae-train argv` would run."""
    args, flags = arguments(get_args_parser(), argv)
    if args.hydra_help or args.shell_completion or args.experimental_rerun:
        return Prepared(list(argv))
    if args.config_path:
        raise ConfigError(f"--config-path={args.config_path}: our own stays; add yours by --config-dir or VAE_CONF_DIR")
    if args.multirun and (args.cfg or args.info):
        raise ConfigError(f"--multirun: not together with --cfg or --info ({COMMAND_LINE}); leave one of them out")
    if args.resolve and not args.cfg:
        raise ConfigError(f"--resolve: only together with --cfg ({COMMAND_LINE}); use --cfg job --resolve")
    sources = Sources.find(args.config_dir)
    composer = Composer(args.config_name or "train", sources)
    with session():
        overrides, chosen = expanded(args.overrides)
        lines = [quoted(line, several=DATA) for line in overrides]
        lines = composer.tidy(with_search_path(lines, sources))
        lines += _in_slurm(lines)
        sweeps = {o.input_line for o in parse(lines) if o.is_sweep_override()}
        series = Series(composer, composer.compose)
        master = series.config([line for line in lines if line not in sweeps])
        plain_names(master)
        if args.multirun or master.hydra.mode == RunMode.MULTIRUN:
            jobs = check_sweep(series, master, lines)
            found = [f"{EXCLUDED}=[{','.join(map(quote, left_out(jobs)))}]", "hydra.mode=MULTIRUN"]
            found.append(f"{JOBS}={'null' if searches(master) else len(jobs)}")
            return Prepared([*lines, *found, *flags], sweep=with_own(master, parse(lines), parse(found)))
        for line in sweeps:
            key = str(line).partition("=")[0]
            one = f"{key}='\"...\"' for one path" if key.lstrip("+") in PATHS else "[...] for a list"
            raise ConfigError(f"{line}: several values ({COMMAND_LINE}); add -m for a sweep, {one}")
        if args.package and OmegaConf.select(master, args.package) is None and args.package != "_global_":
            near = nearest(args.package, [str(key) for key in master]) or "--cfg job shows all keys"
            raise ConfigError(f"--package={args.package}: no such key ({COMMAND_LINE}); {near}")
        shows, typed = bool(args.cfg or args.info), lines
        lines = _single(composer, master, typed, shows=shows)
        if not shows:
            if chosen and is_rank_zero():
                print(chosen, flush=True)
            config = master if lines == typed else composer.compose(lines)
            show_typed(config, parse(lines))
            config.hydra.mode = RunMode.RUN
            return Prepared([*lines, *flags], config)
    return Prepared([*lines, *flags])  # --info last: an override after it would be its value


def _single(composer: Composer, master: DictConfig, lines: list[str], *, shows: bool) -> list[str]:
    """Check one run, which begins, resumes or is reproduced; its overrides for hydra.main."""
    if shows and master.reproduce is not None:
        problem = f"reproduce={master.reproduce}: takes the configuration of the run ({COMMAND_LINE})"
        raise ConfigError(f"{problem}; remove --cfg, and see config.yaml in the folder of the run")
    if not shows and (run := resume.folder_to_resume(master, composer, lines)):
        return _resuming(run, composer, master, lines)
    if master.reproduce is not None:
        source = RunFolder(Path(master.reproduce).absolute())
        config, where = resume.reproduced(source, composer, lines), partial(resume.place, source)
        lines = [*_for_hydra(composer, lines), f"reproduce={quote(str(source.path))}"]
    else:
        where = partial(composer.where, tuple(lines))
        config = check(master, where)
    initial(config)
    if not shows and submits(master):
        problem = f"cluster: SLURM gets the jobs of a sweep, and this is one run ({COMMAND_LINE})"
        raise ConfigError(f"{problem}; add -m for a sweep of one, or use cluster=none", key="cluster")
    if not shows:
        readable(config, where)
        installed(config, where)
    creatable(Path(master.hydra.run.dir))
    free(Path(master.hydra.run.dir))
    return lines


def _in_slurm(lines: Sequence[str]) -> list[str]:
    """Overrides under srun: all tasks share the folder of the step, and a requeued job resumes there."""
    given = {override.key_or_group for override in parse(lines)}
    if (step := slurm.step()) is None or "resume" in given:
        return []
    place = quote(str(outputs_folder() / "train" / "slurm" / step))
    own = [] if resume.RUN_DIR in given else [f"{resume.RUN_DIR}={place}"]
    return own + ["ckpt=last"] * (slurm.restarted() and "ckpt" not in given)


def prepare_command(name: str, schema: type[S], argv: Sequence[str]) -> S | DictConfig:
    """The checked configuration of a command that does not train; with --cfg the composed one, which is printed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--cfg", "-c", choices=["job"])
    args, _ = arguments(parser, argv)
    sources = Sources.find(args.config_dir)
    composer = Composer(name, sources)
    with session():
        lines = composer.tidy(with_search_path([quoted(line) for line in args.overrides], sources))
        for override in parse(lines):
            if override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: several values ({COMMAND_LINE}); give one, or [...] for a list"
                )
        config = composer.compose(lines)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        if args.cfg:
            return config
        parsed = check(config, lambda key: composer.where(lines, key), schema)
        if isinstance(parsed, RunCommandConfig):
            return located(parsed, lambda key: composer.where(lines, key))
    return parsed


def _resuming(run: RunFolder, composer: Composer, master: DictConfig, lines: list[str]) -> list[str]:
    """The overrides for hydra.main by which a run is resumed: its own configuration counts."""
    config = resume.resumed(run, composer, lines)
    installed(config, lambda key: resume.place(run, key))
    if any(composer.is_group(override) for override in parse(lines)):
        resume.same_choices(config, master, run)
    place = quote(str(run.path))
    others = [line for line in _for_hydra(composer, lines) if not line.startswith(f"{resume.RUN_DIR}=")]
    return [*others, f"resume={place}", f"{resume.RUN_DIR}={place}"]


def _for_hydra(composer: Composer, lines: list[str]) -> list[str]:
    """The overrides of hydra's own keys, and those of values, which our check has accepted."""
    hydras = [o.input_line or "" for o in parse(lines) if o.is_hydra_override()]
    return hydras + composer.forced([o.input_line or "" for o in resume.value_overrides(composer, lines)])
