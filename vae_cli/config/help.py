"""The text of --help, from the first comments of the YAML files; imports neither hydra nor yaml."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap

from vae_cli.config import pages
from vae_cli.config.sources import Sources
from vae_cli.runs.layout import display

WIDTH = 100
USAGES = Path(__file__).with_name("usages")
"""The usage of each command, and values that several of them take."""


def text(command: str, argv: Sequence[str] = ()) -> str:
    """The help of a command, which lists a user's own options too, or the page or word that follows --help.

    Raises:
        ConfigError: There is no such page or word.
    """
    if topic := _topic(argv):
        from vae_cli.config.topics import answers

        found = [] if topic in pages.TOPICS else answers(topic, Sources.find(_config_dir(argv)))
        return "\n\n".join(found) or pages.rendered(topic)
    if options := _options(argv):
        return "\n\n".join(options)
    if command == "vae-train":
        topics = [row(f"  --help {topic}", pages.subject(topic), 26) for topic in pages.TOPICS]
        return "\n".join([_usage(command, argv), "", "pages:", *topics])
    topics = row(" ", ", ".join(pages.TOPICS), 2)
    return "\n".join([_usage(command, argv), "", "pages, as in --help results:", topics])


def _usage(command: str, argv: Sequence[str]) -> str:
    """The usage of a command, a text file in which {groups} and {applied} stand for parts that others share."""
    usage = _read(command).replace("{applied}\n", _read("applied"))
    if "{groups}" in usage:
        groups = _groups(Sources.find(_config_dir(argv)), command.removeprefix("vae-"))
        usage = usage.replace("{groups}", "\n".join(groups))
    return "\n".join(map(_fitted, usage.rstrip().splitlines()))


def _read(name: str) -> str:
    return (USAGES / f"{name}.txt").read_text(encoding="utf-8")


def _fitted(line: str) -> str:
    """A line of prose, or a word with its meaning, wrapped to the width of the terminal."""
    if line.startswith("vae-"):
        return row(line, "", 0)
    entry = re.match(r"(  \S+(?: \S+)*) {2,}(?=[^\s#])", line)
    return row(entry[1], line[entry.end() :], entry.end()) if entry else line


def description(file: Path) -> str:
    """The first comment of a YAML file, without hydra directives."""
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        if not re.match(r"#\s*@", line):
            return line.lstrip("# ").strip()
    return ""


def defaults(file: Path) -> dict[str, str]:
    """The groups of a root configuration, in order, each with its default option."""
    entries = re.findall(r"^\s*- (\w+): *(\S+)", file.read_text(encoding="utf-8"), re.M)
    return {group: "" if option == "null" else option for group, option in entries}


def _groups(sources: Sources, root: str) -> list[str]:
    chosen = defaults(sources.folders[0] / f"{root}.yaml")
    others = [group for group in sources.groups() if group not in chosen] if root == "train" else []
    filled = [group for group in (*chosen, *others) if sources.options(group)]
    lines = ["groups and their options (* is the default):"]
    for group in sorted(filled, key=lambda group: group not in ("model", "dataset")):
        lines.append(f"  {group}")
        for option in sources.options(group):
            file = sources.file(f"{group}/{option}")
            assert file is not None
            mark = "*" if option == chosen.get(group) else " "
            yours = "" if file.is_relative_to(sources.folders[0]) else f" [{display(file)}]"
            lines.append(row(f"  {mark} {option}", description(file) + yours, 26))
    return lines


def _options(argv: Sequence[str]) -> list[str]:
    """The keys of each option that a command line with --help chooses."""
    sources, found = Sources.find(_config_dir(argv)), []
    for group, sign, name in (argument.lstrip("+").partition("=") for argument in argv):
        if sign and re.fullmatch(r"\w+", group) and sources.options(group):
            from vae_cli.config.option_help import option

            rows = option(sources, group, name)
            file = sources.file(f"{group}/{name}")
            title = row(f"{group}={name}:", description(file) if file else "", 0)
            start = min(40, max((len(left) for left, _ in rows), default=0) + 4)
            found.append("\n".join([title, *(row(f"  {left}", right, start) for left, right in rows)]))
    return found


def row(left: str, right: str, start: int) -> str:
    """Two columns, the second of which begins at `start` and is wrapped to the width of the terminal."""
    width = min(WIDTH, get_terminal_size((WIDTH, 24)).columns)
    own_line = bool(start) and len(left) >= start
    first = " " * start if own_line else f"{left.ljust(start - 1)} "
    lines = wrap(first + right, max(width, start + 20), subsequent_indent=" " * start, break_on_hyphens=False)
    return "\n".join([left] * own_line + lines)


def _topic(argv: Sequence[str]) -> str | None:
    """The word after --help; an existing folder is an argument of vae-report, unless a page has its name."""
    position = next((n for n, argument in enumerate(argv) if argument in ("--help", "-h")), len(argv))
    word = "".join(argv[position + 1 : position + 2])
    if word.startswith("-") or "=" in word or (word not in pages.TOPICS and Path(word).is_dir()):
        return None
    return word or None


def _config_dir(argv: Sequence[str]) -> str | None:
    """The value of --config-dir, if any."""
    for position, argument in enumerate(argv):
        flag, _, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            return value or (argv[position + 1] if position + 1 < len(argv) else None)
    return None
