import io
import zipfile

import numpy as np
from PIL import Image

from vae_cli.datasets.omniglot import read_characters


def test_drawings_are_inverted_scaled_and_numbered_by_sorted_character(tmp_path):
    names = ["Latin/character02/b.png", "Latin/character01/a.png", "Greek/character01/c.png", "Latin/character02/a.png"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i, name in enumerate(names):
            paper = Image.new("1", (105, 105), 1)
            paper.paste(0, (0, 0, 105, 26 * (i + 1)))  # ink on the first quarters
            file = io.BytesIO()
            paper.save(file, "PNG")
            archive.writestr(f"images_background/{name}", file.getvalue())
    x, y = read_characters(tmp_path / "set.zip", 28)
    assert x.shape == (4, 1, 28, 28) and y.tolist() == [0, 1, 2, 2]
    ink = (x.double() / 255).mean((1, 2, 3))
    np.testing.assert_allclose(ink, np.array([3, 2, 4, 1]) * 26 / 105, atol=0.01)
