"""The explorer in a real browser, and the map behind it."""

import io
import re
import signal
import time
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vae_cli
from tests.support.browser import BROWSER, opened
from tests.support.commands import fork, forked
from tests.support.configs import composed
from tests.support.runs import make_run
from tests.support.training import train
from vae_cli.commands.explore.pictures import Picture
from vae_cli.commands.explore.space import Map, Space
from vae_cli.commands.run import Run
from vae_cli.config.command_schemas import ExploreConfig, PlaceConfig

if TYPE_CHECKING:
    from playwright.sync_api import Page

SMALL = ("network.hidden=[8]", "model.latent_dim=3", "trainer.max_epochs=1")
NOWHERE = PlaceConfig(None, None)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose prior is a mixture."""
    work = tmp_path_factory.mktemp("explore")
    train(composed("dataset=digits", "prior=mixture", "prior.components=3", *SMALL), work / "run")
    return work


def pixels(page: "Page", alt: str) -> np.ndarray:
    """The levels of a picture of the page, 0 to 255."""
    source = page.locator(f"img[alt='{alt}']").first.get_attribute("src") or ""
    return np.asarray(Image.open(io.BytesIO(b64decode(source.partition(",")[2]))), dtype=float)


def levels(run: Run, z: np.ndarray) -> np.ndarray:
    return 255 * run.decode(z[None]).mean[0, 0].numpy()


def shown(page: "Page", before: np.ndarray) -> np.ndarray:
    """The decoded picture, once it is another than before."""
    end = time.monotonic() + 60
    while np.array_equal(found := pixels(page, "decoded 0"), before):
        assert time.monotonic() < end
        page.wait_for_timeout(2)
    return found


@pytest.mark.skipif(BROWSER is None, reason="no browser here")
def test_the_page_in_a_browser(work: Path) -> None:
    run = vae_cli.load(work / "run")
    command = forked("vae-explore", "run=run", "n=50", "port=0", folder=work)
    while not (found := re.search(r"open (http://127.0.0.1:\d+/)", command.files[0].read_text())):
        assert command.process.is_alive(), command.files[1].read_text()
        time.sleep(0.1)
    with opened(found[1], 1200) as page:
        page.wait_for_selector("img[alt='decoded 0']")
        space = Space.of(run, ExploreConfig("run", "best", "test", 50, "pca", 8, 0, NOWHERE))
        first = pixels(page, "decoded 0")
        np.testing.assert_allclose(first, levels(run, space.map.codes.mean(0)), atol=1)

        page.get_by_role("button", name="decode its mean").click()
        second = shown(page, first)
        np.testing.assert_allclose(second, levels(run, space.components[0]), atol=1)

        handle, times = page.locator(".noUi-handle").first, []
        handle.focus()
        for _ in range(3):
            begin = time.perf_counter()
            page.keyboard.press("PageUp")
            third, second = shown(page, second), second
            times.append(time.perf_counter() - begin)
            second = third
        print(f"slider to picture: {1000 * float(np.median(times)):.0f} ms")

        canvas = page.locator(".bk-events").first
        canvas.hover(position={"x": 200, "y": 150})
        nearest = page.locator("b", has_text="nearest: example")
        number = int(re.findall(r"\d+", nearest.inner_text())[0])
        assert page.locator(f"img[alt='example {number}']").first.get_attribute("src") in space.pictures[number]
        canvas.click(position={"x": 300, "y": 250})
        shown(page, second)
        page.set_viewport_size({"width": 360, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert command.end(signal.SIGINT, after=0).code == 130


def test_a_map_of_principal_components_is_the_plane_of_two_latents():
    codes = np.random.default_rng(0).normal(size=(40, 2)) * [3, 1]
    found = Map.of(codes, "pca")
    apart = np.linalg.norm(codes[:, None] - codes, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found.points[:, None] - found.points, axis=-1), apart, atol=1e-9)
    np.testing.assert_allclose(found.code(*found.points[7]), codes[7], atol=1e-9)
    assert found.points.var(0)[0] > found.points.var(0)[1]
    single = Map.of(codes[:, :1], "pca")
    np.testing.assert_allclose(single.code(*single.points[3]), codes[3, :1], atol=1e-9)


def test_a_point_of_another_map_stands_for_its_neighbours():
    draw = np.random.default_rng(0)
    found = Map(draw.normal(size=(40, 4)), draw.normal(size=(40, 2)))
    np.testing.assert_allclose(found.code(*found.points[7]), found.codes[7], atol=1e-4)


def test_columns_are_bars_between_their_least_and_largest_value():
    picture = Picture.of(np.array([[0.0, -5.0], [10.0, 5.0]]), "real")
    html = picture.html(np.array([2.5, 5.0]), "example 0")
    assert re.findall(r"--share:([\d.]+)%", html) == ["25.0", "100.0"]
    assert re.findall(r"<span>(.*?)</span>", html) == ["2.5", "5"]


def test_colours_and_grey_values_of_images():
    x = np.random.default_rng(0).random((2, 3, 4, 5))
    found = re.findall(r"base64,([^\"]+)", Picture.of(x, "unit").html(x[0], "example 0"))
    levels = np.asarray(Image.open(io.BytesIO(b64decode(found[0]))))
    np.testing.assert_array_equal(levels, np.rint(255 * x[0]).transpose(1, 2, 0))


@pytest.mark.parametrize("model", ["gan", "vqvae"])
def test_a_run_without_continuous_codes_is_refused(tmp_path: Path, model: str) -> None:
    make_run(tmp_path / "run", f"model={model}", "dataset=digits")
    done = fork("vae-explore", "run=run", folder=tmp_path)
    assert done.code == 2 and "this command needs" in done.err


def test_a_table_on_the_page_is_in_its_own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["id", "a", "<b>", "c d", "e"]
    x = 1e3 + np.random.default_rng(0).normal(size=(200, 4))
    pd.DataFrame(np.c_[np.arange(200), x], columns=names).to_csv("table.csv", index=False)
    train(composed("dataset=table", "dataset.path=table.csv", *SMALL), Path("run"))
    space = Space.of(vae_cli.load("run"), ExploreConfig("run", "best", "train", 30, "pca", 8, 0, NOWHERE))
    assert len(space.pictures) == 30 and space.components.size == 0
    assert re.findall(r"<b>(.*?)</b>", space.pictures[0]) == ["a", "&lt;b&gt;", "c d", "e"]
    values = [float(v) for v in re.findall(r"<span>(.*?)</span>", space.decoded(space.between(0, 1, 2), "between"))]
    assert len(values) == 8 and np.allclose(values, 1e3, atol=5)
