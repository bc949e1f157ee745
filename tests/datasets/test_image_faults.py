"""Images and folders of images that cannot be read: each is named in one line."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.image_folders import draw, filled, folder
from vae_cli.datasets.images import decode
from vae_cli.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path):
    return filled(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    draw(tmp_path / "a" / "0.png")

    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "b")))
        return iter(())

    monkeypatch.setattr("vae_cli.datasets.image_folder.os.walk", walk)
    with pytest.raises(UserError, match=r"b: not readable \(Permission denied\)"):
        folder(tmp_path).load()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def hostile(images, kind: str) -> bytes:
    good = (images / "a" / "00.png").read_bytes()
    return {
        "empty": b"",
        "text": b"hello",
        "truncated": good[: len(good) // 2],
        "bomb": png_claiming(60_000, 60_000),
        "half a bomb": png_claiming(10_000, 10_000),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    }[kind]


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "bomb", "half a bomb", "postscript"])
def test_hostile_files_are_named_in_one_line(images, kind, memory_gb):
    (images / "b" / "bad.png").write_bytes(hostile(images, kind))
    with pytest.raises(UserError, match=r"b/bad\.png: not a readable image") as caught:
        data = folder(images, memory_gb=memory_gb, workers=2, val_size=0, test_fraction=0.01).load()
        for part in ("train", "test"):
            list(data.loader(part, batch_size=4, seed=0, shuffle=True, device=CPU))
    assert "\n" not in str(caught.value)


def test_sixteen_bits_are_refused_rather_than_clipped(images):
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(images / "a" / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png: more than 8 bits"):
        folder(images).load()


def test_folders_at_fault_are_named(tmp_path, images):
    with pytest.raises(UserError, match=r"dataset\.path"):
        folder(tmp_path / "none").load()
    draw(images / "stray.png")
    with pytest.raises(UserError, match=r"stray\.png: lies in none of the labels"):
        folder(images).load()
    (tmp_path / "new" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="but not the other"):
        folder(tmp_path / "new").load()
    (tmp_path / "new" / "test").mkdir()
    with pytest.raises(UserError, match="no images"):
        folder(tmp_path / "new").load()


def picture(
    path: Path, mode: str = "RGB", size: tuple[int, int] = (9, 5), form: str = "PNG", **settings: object
) -> None:
    Image.new(mode, size).save(path, form, **settings)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("name", ["a.png", "a.gif"])  # the content counts, not the ending
def test_images_of_all_modes(mode: str, name: str, workplace: Path) -> None:
    picture(Path(name), mode, form="JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    assert decode(Path(name), 4, "rgb").shape == (3, 4, 4)


def test_an_animation_is_its_first_picture(workplace: Path) -> None:
    pages = [Image.new("L", (6, 6), grey) for grey in (40, 200)]
    pages[0].save("a.gif", save_all=True, append_images=pages[1:])
    assert decode(Path("a.gif"), 6, "grey").float().mean() == 40


def test_hostile_images(workplace: Path) -> None:
    picture(Path("whole.png"), size=(64, 64))
    Path("cut.png").write_bytes(Path("whole.png").read_bytes()[:60])
    picture(Path("vast.png"), "1", (10_000, 10_000))
    picture(Path("deep.tiff"), "I;16", form="TIFF")
    Path("loop.png").symlink_to("loop.png")
    Path("gone.png").symlink_to("nowhere.png")
    Path("folder.png").mkdir()
    os.mkfifo("pipe.png")
    Path("page.png").write_text("%!PS\nshowpage\n")
    for name in ("cut.png", "vast.png", "deep.tiff", "loop.png", "gone.png", "folder.png", "pipe.png", "page.png"):
        with pytest.raises(UserError) as error:
            decode(Path(name), 8, "rgb")
        assert str(error.value).startswith(f"{name}: ")
        assert len(str(error.value).splitlines()) == 1
