"""Answers to --help WORD where no page has that name: sections of pages, keys of results, groups, options, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from vae_cli.config import option_help, pages
from vae_cli.config.sources import Sources

SPLIT = re.compile(r"^(val|val_split|train_split)/")


def answers(word: str, sources: Sources) -> list[str]:
    """All that is known about a word; empty for an unknown one."""
    found = [*_own_keys(word, sources), *_results(word), *_sections(word)]
    return [*found, *_groups(word, sources), *_options(word, sources), *_keys(word, sources)]


def _results(word: str) -> Iterator[str]:
    """The row of a key of results.json, as the page results has it."""
    name = SPLIT.sub("test/", word).removesuffix("_se")
    for key, unit, meaning in re.findall(r"^\| `([^`]+)` \| ([^|]*) \| (.+) \|$", pages.page("results"), re.M):
        if name == key.partition("/")[2] or fnmatchcase(name, key):
            yield f"{key}{f' [{unit}]' if unit else ''}: {pages.plain(meaning)}\nmore: --help results"


def _sections(word: str) -> Iterator[str]:
    """The sections whose title is the word, in singular or plural."""
    for topic in pages.TOPICS:
        for title, text in re.findall(r"^##+ (.*)\n((?:(?!##).*\n?)*)", pages.page(topic), re.M):
            section = text.strip("\n")
            if title.lower().rstrip("s") == word.lower().rstrip("s"):
                yield f"{title}, a section of --help {topic}:\n\n{pages.laid_out(section)}"


def _groups(word: str, sources: Sources) -> Iterator[str]:
    if word in sources.groups() and (options := sources.options(word)):
        names = "\n".join(f"  vae-train {word}={option} --help" for option in options)
        yield f"{word}, a group; the keys of its options:\n{names}"


def _options(word: str, sources: Sources) -> Iterator[str]:
    for group in sources.groups():
        if word in sources.options(group) and word != "none":
            yield f"{word}, an option of {group}: vae-train {group}={word} --help"


def _own_keys(word: str, sources: Sources) -> Iterator[str]:
    """A key of no group."""
    root = sources.file("train")
    own = option_help.entries(root.read_text(encoding="utf-8").partition("hydra:")[0], "") if root else {}
    if key := own.get(word):
        yield f"{word}={key.default}, a key: {key.comment}"


def _keys(word: str, sources: Sources) -> list[str]:
    """Keys of groups with this name or last part, each with the first option of its group that has it."""
    found: dict[str, str] = {}
    for group in sources.groups():
        for option in sources.options(group):
            for key in option_help.keys(sources, group, option)[0]:
                if key.startswith(f"{group}.") and word in (key, key.rpartition(".")[2]):
                    found.setdefault(key, f"{key}, a key of {group}={option}: vae-train {group}={option} --help")
    return list(found.values())
