"""The page of a single run: curves, figures, numbers with their meaning, configuration."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_cli.errors import counted
from vae_cli.evaluation.keys import SECTIONS, Section, find
from vae_cli.figures.curves import training_curves
from vae_cli.report.names import shown
from vae_cli.report.page import COMPARED, Picture, link, render
from vae_cli.report.runs import Run

FIRST = (*COMPARED, "latent_space", "clusters")
"""Figures in this order; the others follow by name."""
OPEN = 2
"""Sections of numbers that are not folded."""


@dataclass(frozen=True)
class Line:
    """A number of results.json as text."""

    key: str
    value: str
    error: str
    unit: str
    help: str


def run_page(run: Run, out: Path) -> str:
    """The page of a run, which lies in the folder `out`."""
    curves = training_curves(run.history)
    tags = run.config.get("tags") or []
    facts = [
        *filter(None, [run.config.get("name"), *tags]),
        run.data_name,
        f"seed={run.config.get('seed')}",
        run.status,
    ]
    if epochs := run.results.get("train/epochs"):
        facts.append(f"{counted(epochs, 'epoch')}, best {run.results.get('train/best_epoch')}")
    if seconds := run.results.get("wall_seconds"):
        facts.append(f"{seconds:,.0f} s")
    return render(
        "run.html",
        title=run.name,
        run=run,
        facts=facts,
        link=link(run.folder, out),
        command=shlex.join(["vae-train", *(f"{key}={value}" for key, value in run.typed.items())]),
        curves=curves and Picture.of_figure("training curves", curves),
        images=list(_images(run.folder / "figures")),
        numbers=list(_numbers(run.results)),
        config={name: shown(value) for name, value in run.config.items()},
    )


def _images(folder: Path) -> Iterator[Picture]:
    """The figures of the run, without the curves, which are drawn again."""
    files = {file.stem: file for file in sorted(folder.glob("*.png")) if file.stem != "training_curves"}
    for name in dict.fromkeys([*(name for name in FIRST if name in files), *files]):
        yield Picture.of_file(name.replace("_", " "), files[name])


def _numbers(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The keys of results.json by section."""
    for place, section in enumerate(section for section in SECTIONS if any(_lines(section, results))):
        yield {"title": section.title.replace("`", ""), "open": place < OPEN, "lines": list(_lines(section, results))}


def _lines(section: Section, results: Mapping[str, Any]) -> Iterator[Line]:
    for key, value in results.items():
        number = find(key)
        if key.endswith("_se") or number is None or number not in section.numbers or not _belongs(key, section):
            continue
        error = results.get(f"{key}_se")
        help = number.help.replace("`", "")
        yield Line(key, _text(value), _text(error) if error is not None else "", number.unit, help)


def _belongs(key: str, section: Section) -> bool:
    """True if the key has a prefix of the section."""
    return section.prefixes == ("",) or key.partition("/")[0] in section.prefixes


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 100 else f"{value:,.2f}"
    return value if isinstance(value, str) else json.dumps(value)
