"""The tables of a report, one for each data set: a row for each configuration, as text, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from vae_cli.distributed.terminal import widest
from vae_cli.report.estimate import Estimate
from vae_cli.report.groups import Group, best, data_sets, group, leaders, ranked
from vae_cli.report.metrics import better, is_main, present, words
from vae_cli.report.names import shown
from vae_cli.report.runs import Run

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
    """One configuration: its group, `best` if it leads its comparison, and its estimates by metric.

    Args:
        leads: the metrics in which it is better than all others by more than the error
    """

    group: Group
    best: bool
    estimates: dict[str, Estimate | None]
    leads: frozenset[str]

    @property
    def title(self) -> str:
        """The name, marked if the configuration is the best."""
        return self.group.name + " (best)" * self.best

    def cell(self, metric: str) -> str:
        """An estimate as text, with its own n if some finished runs lack the metric."""
        estimate = self.estimates[metric]
        if estimate is None:
            return ""
        return f"{estimate}" + f" (n = {estimate.count})" * (estimate.count != len(self.group.finished))


@dataclass(frozen=True)
class Table:
    """The name of a data set, the metrics and the rows."""

    data: str
    metrics: list[str]
    rows: list[Row]

    @classmethod
    def of(cls, data: str, runs: Sequence[Run]) -> Table:
        """The table of all configurations, with the metrics that at least one has."""
        groups = ranked(group(runs))
        metrics = present(groups)
        winners = best(groups)
        ahead = {metric: leaders(groups, metric, better(metric)) for metric in metrics}
        rows = [
            Row(
                one,
                winner,
                {metric: one.estimate(metric) for metric in metrics},
                frozenset(metric for metric in metrics if one.number in ahead[metric]),
            )
            for one, winner in zip(groups, winners, strict=True)
        ]
        return cls(data, metrics, rows)

    @property
    def groups(self) -> list[Group]:
        """The configurations in their order."""
        return [row.group for row in self.rows]

    @property
    def shown(self) -> list[str]:
        """The metrics that a terminal has room for."""
        return [metric for metric in self.metrics if is_main(metric)]

    def print(self, console: Console) -> None:
        """Print the main metrics that fit; a number that is better than all others by more than its error is bold."""
        console.print(widest(console, self.shown, lambda metrics: self._rich(metrics, console.width)))

    def _rich(self, metrics: Sequence[str], width: int) -> RichTable:
        table = RichTable(title=self.data, title_justify="left", title_style="bold", header_style="bold")
        longest = max(len(row.title) for row in self.rows)
        table.add_column("#", justify="right")
        table.add_column("configuration", overflow="fold", width=max(13, min(longest, width // 4)))
        table.add_column("runs", no_wrap=True)
        for metric in metrics:
            table.add_column(words(metric).removesuffix(" (nats)").replace(" ", "\n"), justify="right", no_wrap=True)
        for row in self.rows:
            cells = [f"[bold]{row.cell(one)}[/bold]" if one in row.leads else row.cell(one) for one in metrics]
            table.add_row(str(row.group.number), escape(row.title), row.group.states.replace(", ", "\n"), *cells)
        return table

    def latex(self) -> str:
        """A tabular for booktabs, with the same numbers in bold."""
        lines = [
            f"% {self.data}",
            rf"\begin{{tabular}}{{lr{'r' * len(self.metrics)}}}",
            r"\toprule",
            " & ".join(["configuration", "$n$", *(_escaped(words(metric)) for metric in self.metrics)]) + r" \\",
            r"\midrule",
        ]
        for row in self.rows:
            cells = [f"${self._latex(row, metric)}$" if row.cell(metric) else "--" for metric in self.metrics]
            lines.append(" & ".join([_escaped(row.group.name), str(len(row.group.finished)), *cells]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def _latex(self, row: Row, metric: str) -> str:
        return (r"\mathbf" if metric in row.leads else "") + "{" + row.cell(metric).replace("±", r"\pm") + "}"


def tables(runs: Sequence[Run]) -> list[Table]:
    """A table for each data set."""
    return [Table.of(name, those) for name, those in data_sets(runs).items()]


def csv_text(found: Sequence[Table]) -> str:
    """Full precision: the choices, then mean, half width of the interval and n of each metric."""
    keys = list(dict.fromkeys(key for one in found for row in one.rows for key in row.group.choices))
    metrics = list(dict.fromkeys(metric for one in found for metric in one.metrics))
    columns = [name for metric in metrics for name in (metric, f"{metric} half width", f"{metric} n")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "configuration", "data", *keys, "runs", "best", *columns])
    for one in found:
        for row in one.rows:
            choices = [shown(row.group.choices[key]) if key in row.group.choices else "" for key in keys]
            measured = [row.estimates.get(metric) for metric in metrics]
            numbers = [(e.mean, e.half_width, e.count) if e else (None, None, 0) for e in measured]
            flat = [number for triple in numbers for number in triple]
            first = [row.group.number, row.group.name, one.data, *choices, row.group.states, int(row.best)]
            writer.writerow([*first, *flat])
    return text.getvalue()


def latex_text(found: Sequence[Table]) -> str:
    """A tabular for each data set."""
    first = r"% \usepackage{booktabs}; mean \pm half width of a 95 % confidence interval over runs (Student's t)"
    return "\n".join([first, *(one.latex() for one in found)])


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
