"""A run in a notebook: its figures, and a summary as text and as HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_cli.errors import counted
from vae_cli.evaluation.keys import find
from vae_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from vae_cli.commands.run import Run


@dataclass(frozen=True)
class FigureFile:
    """A figure in a run's folder, which a notebook displays."""

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


class Figures(dict[str, FigureFile]):
    """The figures of a run by name; a notebook displays all of them."""

    @classmethod
    def of(cls, folder: Path) -> Figures:
        """The PNG files of a folder, in the order of their names."""
        return cls({path.stem: FigureFile(path) for path in sorted(folder.glob("*.png"))})

    def _repr_html_(self) -> str:
        images = (
            f'<figure><img style="max-width: 100%" alt="{name}" '
            f'src="data:image/png;base64,{b64encode(figure.path.read_bytes()).decode()}">'
            f"<figcaption>{name}</figcaption></figure>"
            for name, figure in self.items()
        )
        return "\n".join(images)


def summary(run: Run) -> dict[str, str]:
    """Model, data, status and the main numbers of the evaluation of a run."""
    config, facts, results = run.config, run.facts, run.results
    count = sum(p.numel() for p in run.model.parameters())
    parts = f"q(z|x) {config.posterior.name}, p(z) {config.prior.name}, p(x|z) {config.likelihood.name}"
    status, epoch = RunFolder(run.folder).state().name, results.get("train/best_epoch")
    labels = {"name": config.name, "tags": ", ".join(config.tags)}
    return {name: label for name, label in labels.items() if label} | {
        "model": f"{parts}, network {config.network.name}, d = {run.model.latent_dim}, {counted(count, 'parameter')}",
        "objective": config.objective.name,
        "data": f"{facts.name}, x {facts.event_shape}, {counted(facts.examples, 'training example')}",
        "status": f"{status}, weights of epoch {epoch}" if epoch else status,
        **main_numbers(results),
    }


def main_numbers(results: Mapping[str, Any]) -> dict[str, str]:
    """The main numbers of an evaluation, each with its standard error and unit."""
    shown = {}
    for key, value in results.items():
        number = find(key)
        if number is None or not number.main or key.endswith("_se") or not isinstance(value, int | float):
            continue
        error = results.get(f"{key}_se")
        spread = f" ± {error:,.3f}" if isinstance(error, float) else ""
        shown[key] = f"{value:,d}" if isinstance(value, int) else f"{value:,.3f}{spread}"
        shown[key] += f" {number.unit}".rstrip()
    return shown


def text(title: str, rows: Mapping[str, str]) -> str:
    """The summary of a run in lines."""
    width = max(map(len, rows), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows.items())])


def html(title: str, rows: Mapping[str, str]) -> str:
    """The summary of a run as a table."""
    left = 'style="text-align: left"'
    cells = (f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>" for name, value in rows.items())
    return f"<strong>{escape(title)}</strong><table>{''.join(cells)}</table>"
