"""The pages of vae_cli/docs, which --help TOPIC prints; imports nothing that is slow."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vae_cli.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[1] / "docs"
TOPICS = (
    "tour",
    "installing",
    "models",
    "running",
    "results",
    "using",
    "sharing",
    "data",
    "troubleshooting",
    "studies",
    "benchmarks",
    "extending",
    "design",
)
WIDTH = 100


def subject(topic: str) -> str:
    """The subject of a page: its title after the colon."""
    with (FOLDER / f"{topic}.md").open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip()


def page(topic: str) -> str:
    """The Markdown of a page.

    Raises:
        ConfigError: There is no page of this name.
    """
    if topic not in TOPICS:
        from vae_cli.config.suggest import similar

        near = "".join(f"nearest: --help {one}; " for one in similar(topic, TOPICS, 1))
        if not near and (naming := _naming(topic)):
            near = f"the word stands in --help {', --help '.join(naming)}; "
        raise ConfigError(f"--help {topic}: unknown page, key or option; {near}the pages are {', '.join(TOPICS)}")
    return (FOLDER / f"{topic}.md").read_text(encoding="utf-8").rstrip()


def _naming(word: str) -> list[str]:
    """The three pages, at most, that have a word most often."""
    counts = {topic: len(re.findall(rf"\b{re.escape(word)}\b", page(topic), re.IGNORECASE)) for topic in TOPICS}
    return [topic for topic in sorted(TOPICS, key=lambda one: -counts[one]) if counts[topic]][:3]


def rendered(topic: str) -> str:
    """A page as a terminal shows it; its Markdown where the output is piped."""
    return laid_out(page(topic))


def plain(text: str) -> str:
    """Markdown without comments, and without the escapes of a table."""
    return re.sub(r"<!--.*?-->\n*", "", text).replace("\\|", "|")


def laid_out(text: str) -> str:
    """Markdown as a terminal shows it; without comments and escapes where the output is piped."""
    if not sys.stdout.isatty():
        return plain(text)
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class Folded(TableElement):
        """A table that breaks a long word and does not cut it."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                for column in table.columns if isinstance(table, Table) else ():
                    column.overflow = "fold"
                yield table

    class Page(Markdown):
        elements = Markdown.elements | {"table_open": Folded}

    console = Console()
    console.width = min(console.width, WIDTH)
    with console.capture() as captured:
        console.print(Page(text))
    return captured.get().rstrip()
