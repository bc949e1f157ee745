"""The table of a report: a row for each configuration, as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from vae_cli.report.estimate import Estimate
from vae_cli.report.groups import Group, best, shown
from vae_cli.report.metrics import is_main, present, words

LATEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


@dataclass(frozen=True)
class Row:
    """One configuration: its group, `best` if it leads its comparison, and its estimates by metric."""

    group: Group
    best: bool
    estimates: dict[str, Estimate | None]

    def cell(self, metric: str) -> str:
        """An estimate as text, with its own n if some finished runs lack the metric."""
        estimate = self.estimates[metric]
        if estimate is None:
            return ""
        return f"{estimate}" + f" (n = {estimate.count})" * (estimate.count != len(self.group.finished))


@dataclass(frozen=True)
class Table:
    """The metrics and the rows."""

    metrics: list[str]
    rows: list[Row]

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Table:
        """The table of all groups, with the metrics that at least one has."""
        metrics = present(groups)
        winners = best(groups)
        rows = [
            Row(one, winner, {metric: one.estimate(metric) for metric in metrics})
            for one, winner in zip(groups, winners, strict=True)
        ]
        return cls(metrics, rows)

    def print(self, console: Console) -> None:
        """Print the main metrics; the best configurations are bold."""
        table = RichTable(header_style="bold")
        longest = max(len(_titled(row)) for row in self.rows)
        table.add_column("#", justify="right")
        table.add_column("configuration", overflow="fold", width=max(13, min(longest, console.width // 4)))
        table.add_column("runs")
        metrics = [metric for metric in self.metrics if is_main(metric)]
        for metric in metrics:
            table.add_column(words(metric).removesuffix(" (nats)"), justify="right")
        for row in self.rows:
            style = "bold" if row.best else None
            first = (str(row.group.number), escape(_titled(row)), row.group.standing)
            table.add_row(*first, *map(row.cell, metrics), style=style)
        console.print(table)

    def csv(self) -> str:
        """Full precision: the choices, then mean, half width of the interval and n of each metric."""
        keys = list(dict.fromkeys(key for row in self.rows for key in row.group.choices))
        columns = [name for metric in self.metrics for name in (metric, f"{metric} half width", f"{metric} n")]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["number", "configuration", *keys, "runs", "best", *columns])
        for row in self.rows:
            choices = [shown(row.group.choices[key]) if key in row.group.choices else "" for key in keys]
            found = [row.estimates[metric] for metric in self.metrics]
            numbers = [(e.mean, e.half_width, e.count) if e else (None, None, 0) for e in found]
            flat = [number for triple in numbers for number in triple]
            first = [row.group.number, row.group.name, *choices, row.group.standing, int(row.best)]
            writer.writerow([*first, *flat])
        return text.getvalue()

    def latex(self) -> str:
        """A tabular for booktabs; the best configurations are bold."""
        lines = [
            r"% \usepackage{booktabs}; mean \pm half width of a 95 % confidence interval over runs (Student's t)",
            rf"\begin{{tabular}}{{lr{'r' * len(self.metrics)}}}",
            r"\toprule",
            " & ".join(["configuration", "$n$", *(_escaped(words(metric)) for metric in self.metrics)]) + r" \\",
            r"\midrule",
        ]
        for row in self.rows:
            name, bold = _escaped(row.group.name), r"\mathbf" if row.best else ""
            cells = [row.cell(metric).replace("±", r"\pm") for metric in self.metrics]
            numbers = [f"${bold}{{{cell}}}$" if cell else "--" for cell in cells]
            first = rf"\textbf{{{name}}}" if row.best else name
            lines.append(" & ".join([first, str(len(row.group.finished)), *numbers]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _titled(row: Row) -> str:
    return row.group.name + " (best)" * row.best


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
