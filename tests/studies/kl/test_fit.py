"""vae-kl as a command."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support.commands import fingerprint, fork


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("direction", "count"), [("reverse", 2), pytest.param("forward", 1, marks=pytest.mark.slow)])
def test_the_minima_and_their_picture_go_into_a_folder(direction: str, count: int, work: Path) -> None:
    done = fork("vae-kl", f"direction={direction}", "starts=3", "out=here", folder=work)
    assert (done.code, done.err) == (0, "")
    assert "written to here" in done.out
    written = json.loads((work / "here" / "minima.json").read_text())
    assert (written["starts"], written["target"]["means"], len(written["minima"])) == (3, [-2.5, 2.5], count)
    for minimum in written["minima"]:
        assert f"{minimum['mean']:.4f}" in done.out
    with Image.open(work / "here" / f"{direction}.png") as image:
        assert image.width > 1000
    assert (work / "here" / f"{direction}.pdf").exists()


@pytest.mark.slow
def test_by_default_each_time_goes_into_a_folder_of_its_own(work: Path) -> None:
    for _ in range(2):
        assert fork("vae-kl", "starts=1", "direction=forward", folder=work).code == 0
    assert len(list(work.glob("outputs/kl/*/*/minima.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["direction=sideways"], 2, ["direction", "forward, reverse"]),
        (["target=bimodel"], 2, ["target", "bimodal"]),
        (["target=samples"], 2, ["target.path", "needs a value"]),
        (
            ["target=samples", "target.path=none.txt", "direction=forward"],
            1,
            ["target.path=none.txt", "there is no such file"],
        ),
        (["target=samples", "target.path=x.txt"], 1, ["direction=reverse", "use direction=forward"]),
        (["target=double_well", "direction=forward"], 1, ["direction=forward", "use direction=reverse"]),
        (["target.scales=[1,-1]"], 2, ["target.scales", "> 0"]),
        (["target.size=1", "direction=forward"], 2, ["target.size=1", ">= 2"]),
        (["target.weights=[1]"], 1, ["target.weights", "as many"]),
        (["starts=0"], 2, ["starts=0", "> 0"]),
        (["start=3"], 2, ["start", "nearest: starts"]),
        (["out=full"], 1, ["out=full", "use a new folder"]),
        (["seed=1,2"], 2, ["several values"]),
    ],
)
def test_a_wrong_line_is_refused_in_one(arguments: list[str], code: int, parts: list[str], work: Path) -> None:
    (work / "x.txt").write_text("1\n2\n3\n")
    (work / "full").mkdir()
    (work / "full" / "thesis.txt").write_text("mine")
    before = fingerprint(work)
    done = fork("vae-kl", *arguments, folder=work)
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    for part in ["vae-kl: error: ", *parts]:
        assert part in done.err
    assert fingerprint(work) == before
