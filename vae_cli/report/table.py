"""The table of a report: a row for each configuration, as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from vae_cli.report.groups import Estimate, Group, best, short
from vae_cli.report.plots import label

PREFERRED = (
    "test/elbo",
    "test/iw_log_likelihood",
    "test/mc_log_likelihood",
    "test/bits_per_dim",
    "test/distortion",
    "test/rate",
    "test/mutual_information",
    "test/aggregated_kl",
    "test/active_units",
    "test/cluster_accuracy",
    "test/mig",
    "test/dci_disentanglement",
    "test/sap",
    "test/factor_score",
    "test/reconstruction_error",
)


@dataclass(frozen=True)
class Row:
    """One configuration: what was chosen, how its runs stand, its estimates by metric, and whether it is the best."""

    choices: list[str]
    runs: str
    estimates: list[Estimate | None]
    best: bool


@dataclass(frozen=True)
class Table:
    """Names of the varied keys and of the metrics, and the rows."""

    keys: list[str]
    metrics: list[str]
    rows: list[Row]

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Table:
        """Of all groups; metrics that at least one has."""
        keys = list(dict.fromkeys(key for one in groups for key in one.choices))
        metrics = [metric for metric in PREFERRED if any(one.estimate(metric) for one in groups)]
        winner = best(groups) if len(groups) > 1 else None
        rows = [
            Row(
                [str(one.choices.get(key, "")) for key in keys],
                standing(one),
                [one.estimate(metric) for metric in metrics],
                one is winner,
            )
            for one in groups
        ]
        return cls(keys, metrics, rows)

    @property
    def titles(self) -> list[str]:
        """Of all columns."""
        return [*map(short, self.keys), "runs", *map(label, self.metrics)]

    def print(self, console: Console) -> None:
        """On a terminal; the best configuration is bold."""
        table = RichTable(header_style="bold")
        for title in self.titles:
            table.add_column(title, overflow="fold")
        for row in self.rows:
            cells = [*row.choices, row.runs + " *" * row.best, *("" if e is None else str(e) for e in row.estimates)]
            table.add_row(*cells, style="bold" if row.best else None)
        console.print(table)

    def csv(self) -> str:
        """Full precision; each metric with the half width of its interval."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.keys, "runs", "best", *(n for m in self.metrics for n in (m, f"{m} half width"))])
        for row in self.rows:
            pairs = [(e.mean, e.half_width) if e else (None, None) for e in row.estimates]
            writer.writerow([*row.choices, row.runs, int(row.best), *(v for pair in pairs for v in pair)])
        return text.getvalue()

    def latex(self) -> str:
        """A tabular of the package booktabs; the best configuration is bold."""
        titles = [_escaped(title) for title in self.titles if title != "runs"]
        lines = [
            rf"\begin{{tabular}}{{{'l' * len(self.keys)}{'r' * len(self.metrics)}}}",
            r"\toprule",
            " & ".join(titles) + r" \\",
            r"\midrule",
        ]
        for row in self.rows:
            cells = [_escaped(choice) for choice in row.choices]
            cells += ["--" if e is None else "$" + str(e).replace("±", r"\pm") + "$" for e in row.estimates]
            lines.append(" & ".join(rf"\textbf{{{c}}}" if row.best and c else c for c in cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def standing(group: Group) -> str:
    """How many runs are done, and what the others are.

    Runs that have not finished have no part in the estimates.
    """
    states = Counter(run.status for run in group.runs)
    others = [f"{count} {state}" for state, count in states.items() if state != "done"]
    return ", ".join([str(states["done"]), *others])


def _escaped(text: str) -> str:
    return "".join(
        rf"\{c}" if c in "&%$#_{}" else {"~": r"\textasciitilde{}", "\\": r"\textbackslash{}"}.get(c, c) for c in text
    )
