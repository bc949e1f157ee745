"""The page in a real browser, where one is installed: no part of it is wider than a phone or a sheet of paper."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.report_folders import write_run, write_sweep
from tests.support.report_markup import made

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.usefixtures("workplace"), pytest.mark.skipif(BROWSER is None, reason="no browser here")]

MEASURE = """<script>onload = () => {
  const page = document.querySelector("iframe").contentDocument, box = page.querySelector(".wide");
  const images = [...page.images].filter((image) => image.complete && image.naturalWidth > 0).length;
  const widest = Math.max(...[...page.images].map((image) => image.getBoundingClientRect().right));
  document.title = [page.documentElement.scrollWidth, box.clientWidth, box.scrollWidth, images, widest].join(" ");
}</script>"""


def run(*arguments: str) -> str:
    """What the browser prints, without a network."""
    assert BROWSER
    line = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    folder = f"--user-data-dir={Path.cwd() / 'profile'}"
    done = subprocess.run([*line, folder, *arguments], capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(text: str, width: int) -> tuple[float, ...]:
    """Of the page in a window of this width: its own width, its table's box and content, images shown, widest image."""
    frame = f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{html.escape(text)}"></iframe>'
    Path("frame.html").write_text(f"<!doctype html><title></title>{MEASURE}{frame}", encoding="utf-8")
    shown = run("--virtual-time-budget=10000", "--dump-dom", (Path.cwd() / "frame.html").as_uri())
    found = re.search(r"<title>([\d. ]+)</title>", shown)
    assert found, shown[:500]
    return tuple(map(float, found[1].split()))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        write_sweep(Path("all/a"), [0.5, 1, 4], [0, 1], **{"dataset.path": f"/{'long' * 30}/data.npz"})
        write_run(Path("all/b"), {"seed": 7}, results={"status": "failed", "error": "x" * 300})
        return made(plotted=True)


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_the_table_scrolls_in_its_box_and_the_page_does_not(text: str, width: int) -> None:
    page, box, content, images, widest = measured(text, width)
    assert page <= width and box <= width and widest <= width
    assert images == text.count("<img ")
    if width < 500:
        assert content > box


def test_the_page_prints(text: str) -> None:
    Path("page.html").write_text(text, encoding="utf-8")
    run("--no-pdf-header-footer", "--print-to-pdf=page.pdf", (Path.cwd() / "page.html").as_uri())
    assert Path("page.pdf").read_bytes().startswith(b"%PDF")
