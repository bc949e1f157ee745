"""The figure of the cost of a step: one panel for each size that varies."""

from pathlib import Path

from PIL import Image

from vae_cli.commands.benchmark.curves import AXES, draw


def test_the_figure_of_costs(tmp_path: Path) -> None:
    rates = {axis.label(value): [1000 / value, 900 / value] for axis in AXES for value in axis.values}
    with Image.open(draw(rates, tmp_path / "costs" / "curves.png")) as image:
        assert image.width > 1000 and len(image.convert("L").getcolors() or []) > 2
