"""Examples as HTML: an image as a PNG within the page, a vector as a bar for each column."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Picture:
    """The range of values between which examples are drawn, of all pixels or of each column.

    low, high: (D,) for vectors, scalars for images
    names: of the columns of a table; () for their numbers
    """

    low: Array
    high: Array
    names: Sequence[str] = ()

    @classmethod
    def of(cls, x: Array, domain: str, names: Sequence[str] = ()) -> Picture:
        """The range of examples x (N, *event)."""
        if x.ndim == 2:
            return cls(x.min(0), x.max(0), names)
        real = domain == "real"
        return cls(np.asarray(x.min() if real else 0.0), np.asarray(x.max() if real else 1.0))

    def html(self, x: Array, alt: str) -> str:
        """The HTML of one example x (*event); `alt` names it."""
        return self._bars(x, alt) if x.ndim == 1 else self._image(x, alt)

    def _image(self, x: Array, alt: str) -> str:
        unit = (x - self.low) / max(float(self.high - self.low), 1e-9)
        levels = np.rint(255 * unit.clip(0, 1)).astype(np.uint8)
        image = Image.fromarray(levels[0] if len(levels) == 1 else levels[:3].transpose(1, 2, 0))
        file = io.BytesIO()
        image.save(file, "PNG")
        return f'<img alt="{alt}" src="data:image/png;base64,{b64encode(file.getvalue()).decode()}">'

    def _bars(self, x: Array, alt: str) -> str:
        share = 100 * ((x - self.low) / np.maximum(self.high - self.low, 1e-9)).clip(0, 1)
        rows = (
            f'<b>{escape(column)}</b><i style="--share:{part:.1f}%"></i><span>{value:.4g}</span>'
            for column, part, value in zip(self.names or map(str, range(len(x))), share, x, strict=True)
        )
        return f'<div class="bars" role="img" aria-label="{alt}">{"".join(rows)}</div>'
