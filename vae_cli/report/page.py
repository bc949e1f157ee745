"""The page of a report: one self-contained HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from vae_cli.report.groups import Group, changed, shared, shown
from vae_cli.report.metrics import words
from vae_cli.report.plots import Plot, colours
from vae_cli.report.runs import Run
from vae_cli.report.table import Table

COMPARED = ("samples", "component_samples", "reconstructions", "traversals")
"""Figures of runs that the page shows side by side."""
SHOWN = 12
"""Most configurations whose images are shown side by side."""


@dataclass(frozen=True)
class Picture:
    """An image of a run's folder as a data URI, with its caption."""

    name: str
    uri: str


def page(title: str, runs: Sequence[Run], table: Table, plots: Sequence[Plot]) -> str:
    """The page as HTML text."""
    groups = [row.group for row in table.rows]
    sections: dict[str, list[Picture]] = {}
    for plot in plots:
        sections.setdefault(plot.section, []).append(Picture(plot.title, svg(plot.figure)))
    template = files("vae_cli.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        runs=runs,
        undone=[run for run in runs if run.status != "done"],
        table=table,
        changed=changed(groups),
        titles=list(map(words, table.metrics)),
        colours=colours(len(groups)),
        sections=sections,
        grids={name.replace("_", " "): found for name in COMPARED if (found := grid(groups, name))},
        left_out=max(0, len(groups) - SHOWN),
        shared={name: shown(value) for name, value in shared(groups).items()},
    )


def svg(figure: Figure) -> str:
    """A figure as a data URI; its text is drawn as outlines and needs no font."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return uri(drawn.getvalue(), "image/svg+xml")


def grid(groups: Sequence[Group], figure: str) -> list[Picture]:
    """A figure of the first finished run of each configuration, or of each run of a single configuration."""
    file = Path("figures", f"{figure}.png")
    found = [[run for run in one.finished if (run.folder / file).is_file()] for one in groups]
    if len(groups) == 1:
        named = [(f"seed={run.config.get('seed')}", run) for run in found[0]]
    else:
        named = [(one.name, runs[0]) for one, runs in zip(groups, found, strict=True) if runs]
    return [Picture(name, uri((run.folder / file).read_bytes(), "image/png")) for name, run in named[:SHOWN]]


def uri(content: bytes, kind: str) -> str:
    """Content as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
