"""Style of all figures: fonts, spines, colours."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import IO, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops, ImageOps

GREY = "#8c8c8c"
BLUE, ORANGE = "#0072B2", "#E69F00"
LINES = (BLUE, ORANGE, "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""Palette of Okabe and Ito for all common forms of colour blindness, without yellow, which is too pale for a line."""

CLASSES = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Ten classes in a scatter plot, after Petroff (2021), arXiv:2107.02270."""

TEXT_WIDTH = 5.5
"""Inches: the text width of the usual one-column conference page."""

RC: dict[Any, Any] = {
    "font.size": 8,
    "figure.labelsize": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "image.interpolation": "none",  # sharp pixels; a PDF embeds them unchanged
    "axes.formatter.useoffset": False,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.02,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,  # of images for loggers
    "pdf.fonttype": 42,  # TrueType, which journals accept
}


DPI = 200
"""Resolution of the files."""
NAME = 24
"""Characters of the name of a class in a figure."""


def class_text(label: int, names: Sequence[str] | None) -> str:
    """Text of a class in a figure: its name, shortened, or its number if it has none.

    >>> class_text(1, ["cat", "_$dog$"]), class_text(1, None)
    (' _\\\\$dog\\\\$', '1')
    """
    if names is None:
        return str(label)
    name = " ".join(names[label].split())
    name = name if len(name) <= NAME else f"{name[: NAME - 3]}..."
    return (" " * name.startswith("_") + name).replace(
        "$", r"\$"
    )  # matplotlib hides a leading _ and reads $ as mathematics


def styled() -> AbstractContextManager[None]:
    """A context with matplotlib's settings RC."""
    return matplotlib.rc_context(RC)


def rendered(figure: Figure) -> Image.Image:
    """A figure as an image for a screen."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # without its alpha, which is 1


def write_png(figure: Figure, file: IO[bytes]) -> None:
    """Write a figure without its white border as a PNG, in grey where it has no colours, which takes a third as long.

    `savefig` draws twice, because it measures the content first; it remains for content that reaches beyond the edge.
    """
    figure.set_dpi(DPI)
    image, border = rendered(figure), round(RC["savefig.pad_inches"] * DPI)
    left, top, right, bottom = ImageOps.invert(image).getbbox() or (0, 0, *image.size)
    box = left - border, top - border, right + border, bottom + border
    if min(box) < 0 or box[2] > image.width or box[3] > image.height:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})  # no version: equal files
    else:
        inner = image.crop(box)
        shown = inner.convert("L") if _is_grey(inner) else inner
        shown.save(file, format="png", dpi=(DPI, DPI), compress_level=3)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return not (ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox())
