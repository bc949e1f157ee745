"""What happens before a command does anything: parse, compose, check. Every fault is a ConfigError of one line."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_cli.config import resume, signatures
from vae_cli.config.check import check
from vae_cli.config.compose import COMMAND_LINE, Composer, parse, session
from vae_cli.config.data_paths import relocated
from vae_cli.config.schema import EvalConfig, SampleConfig
from vae_cli.config.search import searches, unlike
from vae_cli.config.sources import Sources
from vae_cli.config.suggest import meant_key, nearest
from vae_cli.distributed import slurm
from vae_cli.distributed.slurm import LAUNCHER
from vae_cli.errors import ConfigError
from vae_cli.runs.layout import (
    CONFIG,
    DATA,
    OWN,
    PATHS,
    STARTED,
    SUPERSEDED,
    checkpoint_path,
    display,
    initial_checkpoint,
    newest_run,
    outputs_folder,
    run_around,
)
from vae_cli.runs.saved_config import read_config

S = TypeVar("S")
R = TypeVar("R", EvalConfig, SampleConfig)
PLAIN = re.compile(r"[\w./@%+-]*", re.ASCII)
NO_TEXT = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|[+-]?(inf|nan)|true|false", re.IGNORECASE)
"""What hydra reads as a number or a truth value."""
CHOICE = re.compile(r"(choice|shuffle|sort)\(.*\)")
"""What hydra reads as the values of a sweep."""


def prepare_training(argv: Sequence[str]) -> list[str]:
    """Check every job that `vae-train argv` would run; returns the arguments to hand to hydra.main."""
    args, flags = _arguments(get_args_parser(), argv)
    if args.hydra_help or args.shell_completion or args.experimental_rerun:
        return list(argv)
    if args.config_path:
        raise ConfigError(f"--config-path={args.config_path}: our own stays; add yours by --config-dir or VAE_CONF_DIR")
    if args.multirun and (args.cfg or args.info):
        raise ConfigError(f"--multirun: not together with --cfg or --info ({COMMAND_LINE}); leave one of them out")
    if args.resolve and not args.cfg:
        raise ConfigError(f"--resolve: only together with --cfg ({COMMAND_LINE}); say --cfg job --resolve")
    sources = Sources.find(args.config_dir)
    composer = Composer(args.config_name or "train", sources)
    with session():
        lines = [_quoted(line, several=DATA) for line in args.overrides]
        lines = composer.tidy(_with_search_path(lines, sources))
        lines += _in_slurm(lines)
        sweeps = {o.input_line for o in parse(lines) if o.is_sweep_override()}
        master = composer.compose([line for line in lines if line not in sweeps])
        _plain_names(master)
        if args.multirun or master.hydra.mode == RunMode.MULTIRUN:
            _check_sweep(composer, master, lines)
        else:
            for line in sweeps:
                key = str(line).partition("=")[0]
                one = f"{key}='\"...\"' for one path" if key.lstrip("+") in PATHS else "[...] for a list"
                raise ConfigError(f"{line}: several values ({COMMAND_LINE}); add -m for a sweep, {one}")
            if args.package and OmegaConf.select(master, args.package) is None and args.package != "_global_":
                near = nearest(args.package, [str(key) for key in master], 1)
                raise ConfigError(f"--package={args.package}: no such key ({COMMAND_LINE}); nearest: {near[0]}")
            folder = None if args.cfg or args.info else resume.folder_to_resume(master, composer, lines)
            if folder is None:
                check(master, lambda key: composer.where(lines, key))
                _initial(master)
                _creatable(Path(master.hydra.run.dir))
                _free(Path(master.hydra.run.dir))
            else:
                lines = _resuming(folder, composer, master, lines)
    return [*lines, *flags]  # --info last, for it would take an override for its value


def _in_slurm(lines: Sequence[str]) -> list[str]:
    """Under srun all tasks share a folder, which is the step's, and a job that SLURM has restarted goes on there."""
    given = {override.key_or_group for override in parse(lines)}
    if (step := slurm.step()) is None or "resume" in given:
        return []
    place = _quote(str(outputs_folder() / "train" / "slurm" / step))
    own = [] if resume.RUN_DIR in given else [f"{resume.RUN_DIR}={place}"]
    return own + ["ckpt=last"] * (slurm.restarted() and "ckpt" not in given)


def prepare_command(name: str, schema: type[S], argv: Sequence[str]) -> S | DictConfig:
    """The checked configuration of a command that does not train; with --cfg the composed one, which is printed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--cfg", "-c", choices=["job"])
    args, _ = _arguments(parser, argv)
    sources = Sources.find(args.config_dir)
    composer = Composer(name, sources)
    with session():
        lines = composer.tidy(_with_search_path([_quoted(line) for line in args.overrides], sources))
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
    return located(parsed) if isinstance(parsed, EvalConfig | SampleConfig) else parsed


def _arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parsed arguments, and those that are no overrides; options may stand among the overrides."""
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]

    def refuse(message: str) -> NoReturn:
        unknown = next((a for a in argv if a.startswith("-") and a.split("=")[0] not in options), "")
        if not unknown:
            raise ConfigError(f"{message} ({COMMAND_LINE}); nearest: --help")
        raise ConfigError(f"{message} ({COMMAND_LINE}); {_as_key(unknown, argv, options)}")

    parser.error = refuse
    args = parser.parse_intermixed_args(list(argv))
    return args, [argument for argument in argv if argument not in args.overrides]


def _as_key(unknown: str, argv: Sequence[str], options: Sequence[str]) -> str:
    """How to write what was given as an option: nearly all are keys."""
    word, _, value = unknown.lstrip("-").partition("=")
    alike = get_close_matches(unknown.split("=")[0], options, 1, 0.8)
    if alike:
        return f"nearest: {alike[0]}"
    following = argv[argv.index(unknown) + 1 : argv.index(unknown) + 2]
    value = value or next((text for text in following if "=" not in text and not text.startswith("-")), "")
    key = meant_key(word) or word
    example = f"{key}={value}" if value else "objective.beta=4"
    return f"keys are written without dashes, as in {example}; --help lists them"


def _quoted(line: str, several: Sequence[str] = ()) -> str:
    """Paths may hold what hydra's grammar gives a meaning to: blanks, equals signs, any letter.

    A comma parts the values of the keys in `several`, which may be swept over.
    """
    key, _, value = line.partition("=")
    name = key.lstrip("+")
    by_hand = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    if name not in PATHS or by_hand or "${" in value:
        return line
    if name in several and CHOICE.fullmatch(value):
        return line
    parts = value.split(",") if name in several else [value]
    return f"{key}={','.join(map(_literal, parts))}"


def _literal(path: str) -> str:
    """A path such that hydra reads it as it is."""
    if path.startswith("~/"):
        path = str(Path(path).expanduser())
    return path if PLAIN.fullmatch(path) and not NO_TEXT.fullmatch(path) else _quote(path)


def _quote(value: str) -> str:
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: 2 * match[1] + "\\'" * bool(match[2]), value)
    return f"'{escaped}'"


def _with_search_path(lines: list[str], sources: Sources) -> list[str]:
    """The user's folders on hydra's search path, beside those named on the command line."""
    users = [str(folder) for folder in sources.folders[1:]]
    if not users:
        return lines
    others = []
    for override in parse(lines):
        if override.key_or_group == "hydra.searchpath":
            value: Any = override.value()
            users = [*map(str, value), *users] if isinstance(value, list) else users
        else:
            others.append(override.input_line)
    return [*others, f"hydra.searchpath=[{','.join(map(_quote, users))}]"]


def _check_sweep(composer: Composer, master: DictConfig, lines: list[str]) -> None:
    """Every job of the basic sweeper; of a search, which chooses its own values, each value that is listed."""
    if master.resume is not None:
        raise ConfigError(f"resume={master.resume}: goes on with one run ({COMMAND_LINE}); leave --multirun out")
    _creatable(Path(master.hydra.sweep.dir))
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
    jobs = _trials(varied) if searches(master) else BasicSweeper.split_arguments(varied, None)[0]
    trials: list[DictConfig] = []
    for job in jobs:
        overrides = [*fixed, *composer.tidy(job)]
        config = composer.compose(overrides)
        check(config, lambda key, overrides=overrides: composer.where(overrides, key))
        _initial(config)
        if searches(master):
            _check_search(composer, config, overrides)
            trials.append(config)
            if fault := unlike(trials[0], config):
                where = composer.where(overrides, fault.key)
                raise ConfigError(
                    f"{fault} ({where}); take one of them, or a sweep: vae-train -m without hparams_search"
                )
    if trials:
        _check_earlier(trials[0], Path(master.hydra.sweep.dir))


def _check_earlier(trial: DictConfig, folder: Path) -> None:
    """A search that goes on compares its trials with those of earlier starts."""
    for file in [*folder.glob(f"*/{CONFIG}"), *folder.glob(f"{SUPERSEDED}/*/{CONFIG}")]:
        if fault := unlike(read_config(file.parent), trial):
            raise ConfigError(f"{fault} ({display(file.parent)} has the first); name another hydra.sweep.dir")


def _initial(config: DictConfig) -> None:
    """Refuse a warm start from where there is nothing, and parts of one that is not asked for."""
    if config.get("init"):
        initial_checkpoint(config.init)
    elif config.get("init_parts"):
        raise ConfigError(f"init_parts={list(config.init_parts)}: of which run? ({COMMAND_LINE}); say init=DIR")


def _check_search(composer: Composer, config: DictConfig, overrides: list[str]) -> None:
    """A search chooses by a validation bound."""
    if config.dataset.get("val_size") == 0:
        where = composer.where(overrides, "dataset.val_size")
        raise ConfigError(f"dataset.val_size=0: a search needs validation data ({where}); take 0.1, or a sweep")
    target = config.objective._target_
    if "selection" not in signatures.read(target).provides:
        where = composer.where(overrides, "objective._target_")
        raise ConfigError(f"objective {target}: has no bound for a search to choose by ({where}); take a sweep")


def _check_cluster(master: DictConfig) -> None:
    """Jobs are submitted from where SLURM is, and a search needs their results."""
    if master.hydra.launcher._target_ != LAUNCHER:
        return
    if not shutil.which("sbatch"):
        raise ConfigError(f"cluster=slurm: this machine has no sbatch ({COMMAND_LINE}); submit from a login node")
    if searches(master) and not master.cluster.wait:
        raise ConfigError(f"cluster.wait=false: a search waits for results ({COMMAND_LINE}); leave it out")


def _trials(varied: Sequence[Override]) -> list[list[str]]:
    """Jobs in which each value that a search may choose occurs once, of an interval its ends, beside first choices."""
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


def _resuming(folder: Path, composer: Composer, master: DictConfig, lines: list[str]) -> list[str]:
    """The overrides for hydra.main when the run in `folder` goes on: its own configuration rules."""
    config = resume.resumed(folder, composer, lines)
    if any(composer.is_group(override) for override in parse(lines)):
        resume.same_choices(config, master, folder)
    hydras = [o.input_line or "" for o in parse(lines) if o.is_hydra_override() and o.key_or_group != resume.RUN_DIR]
    values = composer.forced([o.input_line or "" for o in resume.value_overrides(composer, lines)])
    place = _quote(str(folder))
    return [*hydras, *values, f"resume={place}", f"{resume.RUN_DIR}={place}"]


def _creatable(folder: Path) -> None:
    """Refuse an output folder that could not be made, before anything is."""
    parent = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    try:
        Path(tempfile.mkdtemp(dir=parent)).rmdir()  # permissions alone do not tell: /proc seems to be writable
    except OSError:
        problem = f"{display(folder)}: cannot be made in {display(parent)}"
        raise ConfigError(f"{problem}; set VAE_OUTPUT_DIR or hydra.run.dir to another folder") from None
    if run := run_around(parent):
        raise ConfigError(f"{display(folder)}: lies in the folder of a run, {display(run)}; name another folder")


def _free(folder: Path) -> None:
    """Refuse a folder that holds something else, such as a project's own config.yaml or figures."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    logs = (".log", ".out", ".err")
    others = sorted(name for name in names if not name.startswith(".") and Path(name).suffix not in logs)
    if others and STARTED not in names:
        raise ConfigError(f"{resume.RUN_DIR}={display(folder)}: holds {others[0]}, no run's; name a new folder")


def _plain_names(master: DictConfig) -> None:
    """Refuse names by which hydra would write elsewhere than into the folder of a run."""
    for key, default in (("job.name", "vae-train"), ("output_subdir", ".hydra")):
        name = OmegaConf.select(master.hydra, key) or default
        if not re.fullmatch(r"\.?[\w-][\w.-]*", str(name)):
            raise ConfigError(f"hydra.{key}={name}: no plain name ({COMMAND_LINE}); take letters, digits, . _ and -")
    subdir = OmegaConf.to_container(master.hydra.sweep, resolve=False)["subdir"]  # pyright: ignore
    if not str(subdir).startswith("${vae_job:"):
        problem = "a job's folder bears the name of its overrides, so that a sweep can go on"
        raise ConfigError(f"hydra.sweep.subdir={subdir}: {problem} ({COMMAND_LINE}); set hydra.sweep.dir")


def located(config: R) -> R:
    """The configuration with absolute paths of the run and its checkpoint; ConfigError where one cannot be read."""
    folder = Path(config.run).absolute()
    if config.ckpt in OWN and resume.saved_nothing(folder):
        raise ConfigError(f"run={config.run}: has no checkpoint ({COMMAND_LINE}); {resume.start_again(folder)}")
    if not (folder / CONFIG).is_file():
        newest = newest_run()
        hint = f"nearest: run={display(newest)}" if newest else "name the folder of a run"
        problem = "not the folder of a run" if folder.is_dir() else "no such folder"
        raise ConfigError(f"run={config.run}: {problem} ({COMMAND_LINE}); {hint}")
    saved = check(read_config(folder), lambda _: display(folder / CONFIG))
    if isinstance(config, EvalConfig):
        relocated(saved, {"dataset.path": config.dataset.path, "dataset.root": config.dataset.root})
    path = checkpoint_path(folder, config.ckpt)
    if not path.is_file():
        raise ConfigError(f"ckpt={config.ckpt}: no such checkpoint ({COMMAND_LINE}); best, last, or the path of a file")
    ckpt = config.ckpt if config.ckpt in OWN else str(path.absolute())
    return replace(config, run=str(folder), ckpt=ckpt)
