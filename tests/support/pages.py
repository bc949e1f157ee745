"""Command lines and code blocks of the README files and of the pages in vae_cli/docs."""

import re
import shlex
from pathlib import Path

import numpy as np
from pandas import DataFrame
from PIL import Image

from tests.support.commands import NAMES, ROOT

DOCS = ROOT / "vae_cli" / "docs"
PAGES = [ROOT / "README.md", ROOT / "conf" / "README.md", ROOT / "tests" / "README.md", *sorted(DOCS.glob("*.md"))]
PLACES = {
    "run=DIR": "run=outputs/train/DATE/TIME",
    "run=digits": "run=outputs/train/DATE/TIME",
    "run=pictures": "run=outputs/train/DATE/TIME",
    "run=people": "run=outputs/train/DATE/TIME",
    "resume=DIR": "resume=outputs/train/DATE/TIME",
    "resume=first": "resume=outputs/train/DATE/TIME",
    "TOPIC": "results",
    "dataset.path=FILE.npz": "dataset.path=table.npz",
}
"""Placeholders, and a value for each that exists in the folder of a test."""

RUN = "outputs/train/DATE/TIME"
SWEEPS = ("outputs/multirun/DATE/TIME", "outputs/beta", "first", "second", "wide")
"""Folders that the pages name."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def files(page: Path) -> dict[str, str]:
    """The fenced blocks below a line with nothing but a file's name, by that name."""
    found = re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return dict(found)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def shell(page: Path) -> list[list[str]]:
    """The words of each line in an indented or bash block, and of each console command between backticks."""
    text = prose(page)
    lines = [line.strip() for block in blocks(page, "bash") for line in block.splitlines()]
    lines += re.findall(r"^ {4}((?:vae-|make |wandb |srun ).*)$", text, re.M)
    lines += re.findall(rf"(?<!`)`((?:{'|'.join(NAMES)}) [^`]+)`", text.replace("\n", " "))
    words = [shlex.split(line, comments=True) for line in lines if not line.startswith("#")]
    return [[PLACES.get(word, word) for word in line] for line in words if line]


def commands(page: Path) -> list[tuple[str, ...]]:
    """The console commands with their arguments; `...` in a line leaves it out."""
    found = []
    for words in shell(page):
        start = next((n for n, word in enumerate(words) if word in NAMES), None)
        if start is not None and "..." not in " ".join(words):
            found.append(tuple(words[start:]))
    return list(dict.fromkeys(found))


def options(page: Path) -> set[tuple[str, str]]:
    """(group, option) of each `group=option` or `group=a|b` between backticks."""
    spans = re.findall(r"`([a-z_]+=[a-z0-9_|\\]+)`", prose(page))
    pairs = (span.replace("\\", "").split("=") for span in spans)
    return {(group, option) for group, several in pairs for option in several.split("|")}


def fill(place: Path) -> None:
    """The files that the pages name."""
    draw = np.random.default_rng(0)
    np.savez(place / "table.npz", x=draw.normal(size=(300, 12)))
    columns = dict(zip(("height", "weight"), draw.normal(size=(2, 300)) + 9, strict=True))
    DataFrame(columns).to_csv(place / "table.csv", index=False)
    (place / "t10k-images-idx3-ubyte.gz").touch()
    np.savetxt(place / "numbers.txt", draw.normal(size=100))
    np.savetxt(place / "points.txt", draw.normal(size=(60, 2)))
    (place / "photos").mkdir()
    for number in range(20):
        pixels = draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    for page in PAGES:
        for file, text in files(page).items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_text(text, encoding="utf-8")
    for folder in SWEEPS:
        (place / folder).mkdir(parents=True)


COMMANDS = sorted({command for page in PAGES for command in commands(page)})
