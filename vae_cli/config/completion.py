"""Completion of a command line in the shell: groups, options, keys, files and folders of runs."""

from __future__ import annotations

from pathlib import Path

from vae_cli.config.command_schemas import SCHEMAS
from vae_cli.config.help import defaults
from vae_cli.config.option_help import entries, keys
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.runs.find import NEWEST, names, newest_run
from vae_cli.runs.layout import PATHS, RUNS, display, outputs_folder

ROOTS = {f"vae-{root}": root for root in ("train", *SCHEMAS)}
"""The root configuration of each command that has one."""
OPTIONS = {
    "vae-report": ("out=", "wandb=true"),
    "vae-status": ("--watch", "--failed", "--cancel", "--rerun", "failed"),
}
"""Options of the commands whose other arguments are runs."""
COMMANDS = (*ROOTS, *OPTIONS)
BASH = """\
_vae_cli() {
    local word="${COMP_LINE:0:$COMP_POINT}" IFS=$'\\n'
    word="${word##* }"
    COMPREPLY=($("$1" --complete "$word" 2>/dev/null))
    [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
    [[ ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace 2>/dev/null
}
complete -F _vae_cli COMMANDS
"""
ZSH = """\
_vae_cli() {
    local -a found=("${(@f)$($words[1] --complete "$PREFIX" 2>/dev/null)}")
    compadd -S '' -- ${(M)found:#*[=/]}
    compadd -- ${found:#*[=/]}
}
compdef _vae_cli COMMANDS
"""
FISH = "complete -c COMMAND -f -a '(COMMAND --complete (commandline -ct) 2>/dev/null)'\n"


def script(shell: str) -> str:
    """The lines by which a shell completes all commands.

    Raises:
        ConfigError: The shell is none of bash, zsh and fish.
    """
    if shell == "fish":
        return "".join(FISH.replace("COMMAND", command) for command in COMMANDS)
    if shell not in ("bash", "zsh"):
        raise ConfigError(f"--completion {shell}: no such shell; use --completion bash, zsh or fish")
    return (BASH if shell == "bash" else ZSH).replace("COMMANDS", " ".join(COMMANDS))


def completions(command: str, word: str) -> list[str]:
    """The words that a word may become; a key ends in its equals sign, a folder in a slash."""
    key, sign, value = word.partition("=")
    sources = Sources.find()
    if command in OPTIONS and not (sign and key == "out"):
        found = (*_runs("train", "multirun"), *_places(word), *OPTIONS[command], "--help")
        return [one for one in found if one.startswith(word)]
    groups = _groups(sources, command)
    if not sign:
        names = dict.fromkeys([*groups, *_keys(sources, command, groups)])
        return [one for one in (*(f"{name}=" for name in names), "--help") if one.startswith(word)]
    if key in RUNS:
        runs = sorted(display(path.parent) for path in outputs_folder().glob("train/*/*/config.yaml"))
        found = [run for run in (*_runs("train"), *runs) if run.startswith(value)] + _places(value, folders=True)
    elif key in PATHS or key == "out":
        found = _places(value)
    else:
        found = [option for option in sources.options(key) if option.startswith(value)] if key in groups else []
    return [f"{key}={one}" for one in found]


def _groups(sources: Sources, command: str) -> dict[str, str]:
    """The groups of a command and their default options."""
    root = ROOTS.get(command, "report")
    file = sources.file(root)
    found = defaults(file) if file else {}
    return dict.fromkeys(sources.groups(), "") | found if root == "train" else found


def _keys(sources: Sources, command: str, groups: dict[str, str]) -> list[str]:
    """The keys of a command's default configuration."""
    file = sources.file(ROOTS.get(command, "report"))
    found = [*entries(file.read_text(encoding="utf-8").partition("hydra:")[0], "")] if file else []
    for group, option in groups.items():
        found += keys(sources, group, option)[0] if option else {}
    return [key for key in found if not key.endswith("_target_")]


def _runs(*kinds: str) -> list[str]:
    """The word for the newest run, if there is one, and names of runs or sweeps."""
    return [NEWEST] * (newest_run() is not None) + sorted(names(*kinds))


def _places(start: str, folders: bool = False) -> list[str]:
    """Files and folders, or folders alone, whose path begins so."""
    parent, slash, name = start.rpartition("/")
    place = Path(f"{parent}{slash}" or ".").expanduser()
    found = sorted(path for path in place.iterdir() if path.name.startswith(name)) if place.is_dir() else []
    shown = [f"{parent}{slash}{path.name}{'/' * path.is_dir()}" for path in found]
    return [path for path in shown if path.endswith("/") or not folders]
