"""The pages of a report: self-contained HTML files."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from vae_cli.report.groups import Group, changed, shared
from vae_cli.report.metrics import words
from vae_cli.report.names import shown
from vae_cli.report.plots import Plot, colours
from vae_cli.report.runs import Run
from vae_cli.report.table import Table

COMPARED = ("samples", "component_samples", "reconstructions", "traversals")
"""Figures of runs that the page shows side by side."""
SHOWN = 12
"""Most configurations whose images are shown side by side."""


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, with its caption and the text that stands for it.

    Args:
        kind: `plot`, whose colours follow the scheme of the page, or `image`
    """

    name: str
    uri: str
    kind: str
    alt: str = ""

    @classmethod
    def of_figure(cls, name: str, figure: Figure) -> Picture:
        """A figure as SVG; its text is drawn as outlines and needs no font."""
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
        return cls(name, uri(drawn.getvalue(), "image/svg+xml"), "plot")

    @classmethod
    def of_file(cls, name: str, file: Path, alt: str = "") -> Picture:
        """A PNG of a run; figures of x are images, others are plots."""
        kind = "image" if file.stem in COMPARED or file.stem == "component_means" else "plot"
        return cls(name, uri(file.read_bytes(), "image/png"), kind, alt)


@dataclass(frozen=True)
class Pictures:
    """The plots of a part of the page: those that it shows at once, and those that it folds."""

    main: list[Picture]
    rest: list[Picture]


def report_page(
    title: str,
    runs: Sequence[Run],
    found: Sequence[tuple[Table, Sequence[Plot]]],
    searches: Sequence[Plot],
    out: Path,
) -> str:
    """The page of several runs, which lies in the folder `out`, with a section for each data set."""
    return render(
        "report.html",
        title=title,
        runs=runs,
        undone=[run for run in runs if run.status != "done"],
        count=sum(len(table.rows) for table, _ in found),
        sections=[_section(table, plots) for table, plots in found],
        searches=_parts(searches),
        words=words,
        link=lambda run: link(run.folder, out),
    )


def _section(table: Table, plots: Sequence[Plot]) -> dict[str, Any]:
    groups = table.groups
    return {
        "table": table,
        "colours": colours(len(groups)),
        "changed": changed(groups),
        "plots": _parts(plots),
        "images": {name.replace("_", " "): found for name in COMPARED if (found := side_by_side(groups, name))},
        "left_out": len(groups) > SHOWN,
        "shared": {name: shown(value) for name, value in shared(groups).items()},
    }


def _parts(plots: Sequence[Plot]) -> dict[str, Pictures]:
    """The plots by their title of a part of the page."""
    parts: dict[str, Pictures] = {}
    for plot in plots:
        part = parts.setdefault(plot.section, Pictures([], []))
        (part.main if plot.main else part.rest).append(Picture.of_figure(plot.title, plot.figure))
    return parts


def side_by_side(groups: Sequence[Group], figure: str) -> list[Picture]:
    """A figure of the first finished run of each configuration, or of each run of a single configuration."""
    file = Path("figures", f"{figure}.png")
    found = [[run for run in one.finished if (run.folder / file).is_file()] for one in groups]
    if len(groups) == 1:
        named = [(f"seed={run.config.get('seed')}", run) for run in found[0]]
    else:
        named = [(one.name, runs[0]) for one, runs in zip(groups, found, strict=True) if runs]
    kind = figure.replace("_", " ")
    return [Picture.of_file(name, run.folder / file, f"{kind} of {name}") for name, run in named[:SHOWN]]


def render(template: str, **values: Any) -> str:
    """A template of this package as text."""
    loader = PackageLoader("vae_cli.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(**values)


def link(folder: Path, out: Path) -> str:
    """The address of a folder, relative to that of the page."""
    return quote(os.path.relpath(folder, out.resolve())) + "/"


def uri(content: bytes, kind: str) -> str:
    """Content as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
