"""The page of the explorer: a map, sliders, the decoded example, interpolations and components."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.events import MouseMove, Tap
from bokeh.layouts import column, row
from bokeh.models import Button, ColumnDataSource, CustomJS, Div, Select, Slider, Spinner, UIElement
from bokeh.palettes import Category10_10
from bokeh.plotting import figure
from jinja2 import Template

from vae_cli.commands.explore.space import Space

STEPS = 9
STYLE = """
:host { max-width: 100%; }
img { width: 112px; image-rendering: pixelated; border: 1px solid #8888; margin: 2px; }
.many img { width: 64px; }
.many { display: flex; flex-wrap: wrap; row-gap: 10px; }
.bars { display: inline-grid; grid-template-columns: fit-content(10em) 120px 5em; gap: 2px 6px; }
.bars { max-height: 320px; overflow: auto; }
.bars b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars i { background: linear-gradient(#4477aa 0 0) 0 / var(--share) 100% no-repeat, #8883; }
"""
WRAP = {"flex-wrap": "wrap", "gap": "16px"}
TEMPLATE = Template(
    "{% extends base %}{% block preamble %}"
    '<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}'
)
NEAREST = """
const {x, y, html, name} = source.data
let near = 0, least = Infinity
for (let i = 0; i < x.length; i++) {
  const apart = (x[i] - cb_obj.x) ** 2 + (y[i] - cb_obj.y) ** 2
  if (apart < least) { least = apart; near = i }
}
if (shown.name != String(near)) {
  shown.name = String(near)
  shown.text = `<b>nearest: example ${near}, ${name[near]}</b><br>${html[near]}`
}"""
"""In the browser, so that a hover waits for no answer."""


@dataclass
class Page:
    """A visitor's page: its widgets and the code z (d,) that it shows.

    z: of the decoded example
    moving: True while several sliders are set at once, so that they decode once
    """

    space: Space
    count: int
    z: np.ndarray = field(init=False)
    moving: bool = False

    def __post_init__(self) -> None:
        codes = self.space.map.codes
        self.z = codes.mean(0)
        low, high = np.quantile(codes, [0.0, 1.0], axis=0)
        reach = np.maximum(1.5 * np.maximum(abs(low), abs(high)), 3.0)
        self.sliders = {
            number: Slider(start=-reach[number], end=reach[number], value=self.z[number], step=0.01, title=f"z{number}")
            for number in self.space.active[: self.count]
        }
        for number, slider in self.sliders.items():
            slider.on_change("value", lambda name, old, new, number=number: self.moved(number, new))
        self.decoded, self.hovered, self.strip, self.means = (Div(stylesheets=[STYLE]) for _ in range(4))

    def show(self, document: Document) -> None:
        """Add the page to a document."""
        run = self.space.run
        title = Div(text=f"<h2>{run.facts.name}: {run.config.objective.name}, d = {run.model.latent_dim}</h2>")
        pictures = row(self.decoded, self.hovered, styles=WRAP)
        parts: list[UIElement] = [self._map(), pictures, column(*self.sliders.values(), width=280)]
        document.add_root(title)
        document.add_root(row(*parts, sizing_mode="stretch_width", styles=WRAP))
        document.add_root(self._interpolation())
        if len(self.space.components):
            document.add_root(self._components())
        document.title, document.template = f"vae-explore {run.folder.name}", TEMPLATE
        self.decode()

    def decode(self) -> None:
        """Show E[x|z] of the present code."""
        begin = time.perf_counter()
        html = self.space.decoded(self.z[None], "decoded")
        spent = 1000 * (time.perf_counter() - begin)
        self.decoded.text = f"<b>E[x|z], {spent:.1f} ms</b><br>{html}"

    def moved(self, number: int, value: float) -> None:
        """A slider has a new value."""
        if not self.moving:
            self.z = self.z.copy()
            self.z[number] = value
            self.decode()

    def go(self, z: np.ndarray) -> None:
        """Show another code, and set the sliders to it."""
        self.z, self.moving = z, True
        for number, slider in self.sliders.items():
            slider.value = float(np.clip(z[number], slider.start, slider.end))
        self.moving = False
        self.decode()

    def _map(self) -> UIElement:
        """The map: a click decodes, a hover shows the nearest example."""
        space = self.space
        kinds = sorted(set(space.labels))
        few = len(kinds) <= len(Category10_10)
        colours = [Category10_10[kinds.index(label)] if few else Category10_10[0] for label in space.labels]
        x, y = space.map.points.T
        names = [escape(label) for label in space.labels]
        data = {"x": x, "y": y, "label": space.labels, "name": names, "html": space.pictures, "colour": colours}
        source = ColumnDataSource(data)
        plot = figure(
            sizing_mode="stretch_width", min_width=280, max_width=560, height=420, tools="pan,wheel_zoom,reset",
            title="codes: click to decode", active_scroll="wheel_zoom", toolbar_location="below",
        )  # fmt: skip
        legend: dict[str, Any] = {"legend_group": "label"} if few and len(kinds) > 1 else {}
        plot.scatter("x", "y", source=source, color="colour", size=6, alpha=0.6, **legend)
        if legend:
            plot.add_layout(plot.legend[0], "above")
            plot.legend.ncols, plot.legend.label_text_font_size, plot.legend.border_line_color = 10, "9px", None
            plot.legend.glyph_width, plot.legend.margin, plot.legend.spacing = 12, 0, 0
        plot.js_on_event(MouseMove, CustomJS(args={"source": source, "shown": self.hovered}, code=NEAREST))
        plot.on_event(Tap, self._tapped)
        return plot

    def _tapped(self, event: Any) -> None:
        """Show the code of a point of the map."""
        self.go(self.space.map.code(event.x, event.y))

    def _interpolation(self) -> UIElement:
        """Two examples by number, and decoded codes between them."""
        count = len(self.space.labels) - 1
        first = Spinner(title="from example", low=0, high=count, value=0, width=110)
        last = Spinner(title="to example", low=0, high=count, value=count, width=110)
        for spinner in (first, last):
            spinner.on_change("value", lambda name, old, new: self.interpolate(first, last))
        self.interpolate(first, last)
        return column(row(first, last, styles=WRAP), self.strip, sizing_mode="stretch_width")

    def interpolate(self, first: Spinner, last: Spinner) -> None:
        """Show the examples at both ends and the decoded codes between them."""
        if first.value is None or last.value is None:  # an empty field
            return
        begin, end = int(first.value), int(last.value)
        html = self.space.decoded(self.space.between(begin, end, STEPS), "between")
        left, right = self.space.pictures[begin], self.space.pictures[end]
        self.strip.text = f'<b>interpolation</b><div class="many">{left}{html}{right}</div>'

    def _components(self) -> UIElement:
        """The means of the components of a mixture, decoded, and a choice that sets z to one."""
        means = self.space.components
        self.means.text = f'<b>components</b><div class="many">{self.space.decoded(means, "component")}</div>'
        choice = Select(title="component", options=[str(k) for k in range(len(means))], value="0", width=110)
        button = Button(label="decode its mean", width=140)
        button.on_click(lambda: self.go(means[int(choice.value)]))
        return column(row(choice, button, styles=WRAP), self.means, sizing_mode="stretch_width")
