"""Pages of reports, and what they hold by the standard library's parser of HTML."""

import base64
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

from vae_cli.figures.style import styled
from vae_cli.report.page import report_page
from vae_cli.report.plots import plots
from vae_cli.report.runs import find
from vae_cli.report.table import tables

VOID = {"meta", "img", "br", "hr", "link", "input"}
LOADING = ("src", "href", "srcset", "data", "poster", "action", "xlink:href")


def made(title: str = "a title", *, plotted: bool = False) -> str:
    """The page of the runs below `all`; its plots take most of the time."""
    folder = Path("all")
    runs = find([folder])
    with styled():
        drawn = [(table, plots(table.groups, table.metrics) if plotted else []) for table in tables(runs)]
        return report_page(title, runs, drawn, [], folder)


class Markup(HTMLParser):
    """Elements as (tag, attributes) in order, text, and an AssertionError for tags that do not balance."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every such element."""
        return [attributes for name, attributes in self.elements if name == tag]


def assert_self_contained(page: str) -> None:
    """Nothing is loaded from anywhere: not by the page, not by its style, not by the SVG images in it."""
    for tag, attributes in Markup(page).elements:
        for name in LOADING:
            if tag != "a":
                assert attributes.get(name, "data:").startswith("data:"), attributes
    assert "@import" not in page and "url(" not in page
    for image in Markup(page).all("img"):
        kind, _, content = image["src"].partition(";base64,")
        assert kind in ("data:image/png", "data:image/svg+xml")
        if kind.endswith("xml"):
            drawing = base64.b64decode(content).decode()
            references = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', drawing)
            assert all("".join(reference).startswith(("#", "data:")) for reference in references)
