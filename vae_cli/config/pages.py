"""The pages of vae_cli/docs, which --help TOPIC prints; imports nothing that is slow."""

from __future__ import annotations

import sys
from pathlib import Path

from vae_cli.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[1] / "docs"
TOPICS = (
    "installing",
    "models",
    "running",
    "results",
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
        from vae_cli.config.suggest import nearest

        near = nearest(topic, TOPICS, 1)[0]
        raise ConfigError(f"--help {topic}: unknown page; nearest: --help {near}; the pages are {', '.join(TOPICS)}")
    return (FOLDER / f"{topic}.md").read_text(encoding="utf-8").rstrip()


def rendered(topic: str) -> str:
    """A page as a terminal shows it; its Markdown where the output is piped."""
    text = page(topic)
    if not sys.stdout.isatty():
        return text
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.width = min(console.width, WIDTH)
    with console.capture() as captured:
        console.print(Markdown(text))
    return captured.get().rstrip()
