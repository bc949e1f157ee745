"""The page of a report: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from vae_cli.figures.style import styled
from vae_cli.report.groups import Group
from vae_cli.report.runs import Run
from vae_cli.report.table import Table

GRIDS = ("samples", "component_samples", "reconstructions")
SHOWN = 12
"""Configurations whose images are put side by side."""


def page(title: str, groups: Sequence[Group], table: Table, figures: Mapping[str, Figure]) -> str:
    """The HTML text."""
    template = files("vae_cli.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=title,
        table=table,
        plots={name: svg(figure) for name, figure in figures.items()},
        grids=grids(groups),
        failed=[run for one in groups for run in one.runs if run.status not in ("done", "unfinished")],
        runs=[run for one in groups for run in one.runs],
    )


def svg(figure: Figure) -> Markup:
    """A figure as SVG markup that scales with the page."""
    text = io.StringIO()
    with styled():
        figure.savefig(text, format="svg", metadata={"Date": None})
    markup = text.getvalue()
    return Markup(markup[markup.index("<svg") :])


def grids(groups: Sequence[Group]) -> dict[str, list[tuple[str, str]]]:
    """By kind of picture, (name of the configuration, data URI) of the first finished run of each."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind in GRIDS:
        for one in groups[:SHOWN]:
            pictures = [run for run in one.finished if _picture(run, kind) is not None]
            if pictures:
                found.setdefault(kind.replace("_", " "), []).append((one.name, _picture(pictures[0], kind) or ""))
    return found


def _picture(run: Run, kind: str) -> str | None:
    file = run.folder / "figures" / f"{kind}.png"
    if not file.is_file():
        return None
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
