"""The recipes of the page `using`, one after the other, on small data."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import fork
from tests.support.pages import DOCS, fill

QUICK = ("trainer.accelerator=cpu", "trainer.limit_batches=2", "evaluate.samples=2", "logger=none")
SMALL = ("trainer.max_epochs=1", "network.hidden=[8]", "model.latent_dim=2", *QUICK)
SMALLER = {
    "vae-train dataset=mnist": ("dataset=digits", *SMALL),
    "vae-train dataset=image_folder": ("dataset=image_folder", "dataset.size=8", "model=vae", *SMALL),
    "vae-train dataset=table": ("dataset=table", *SMALL),
    "vae-score": ("samples=2", "reference=20"),
}


def recipes() -> list[tuple[str, str]]:
    """The blocks of the page with their languages, in order."""
    text = (DOCS / "using.md").read_text(encoding="utf-8")
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.M | re.S)


def test_the_recipes_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    work = tmp_path / "work"
    work.mkdir()
    fill(work)
    monkeypatch.chdir(work)
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    header = np.array([0x803, *images.shape], ">u4").tobytes()
    (work / "t10k-images-idx3-ubyte.gz").write_bytes(header + images.tobytes())
    values: dict[str, Any] = {}
    for language, block in recipes():
        if language == "python":
            exec(block, values)
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            more = next((small for start, small in SMALLER.items() if line.startswith(start)), ())
            kept = [word for word in words if word.partition("=")[0] not in {key.partition("=")[0] for key in more}]
            done = fork(*kept, *more, folder=work)
            assert done.code == 0, done.err
    printed = capsys.readouterr().out
    assert re.search(r"^iw_log_likelihood +[01]\.\d{4}$", printed, re.M)
    assert len(values["names"]) == 20 and values["names"][0] == "0.png"
    assert list(values["copy"]) == ["height", "weight"] and len(values["copy"]) == 1000
    assert values["images"].shape == (9, 1, 8, 8) and len(values["labels"]) == 100
