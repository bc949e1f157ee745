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
from vae_cli.report.write import report

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


@pytest.mark.parametrize("width", [360, *(pytest.param(width, marks=pytest.mark.slow) for width in (390, 1200))])
def test_the_table_scrolls_in_its_box_and_the_page_does_not(text: str, width: int) -> None:
    page, box, content, images, widest = measured(text, width)
    assert page <= width and box <= width and widest <= width
    assert images == text.count("<img ")
    if width < 500:
        assert content > box


def test_the_numbers_of_a_run_fit_a_phone(workplace: Path) -> None:
    report((write_run(Path("run")),), Path("page"))
    page, box, content, *_ = measured(Path("page/report.html").read_text(encoding="utf-8"), 360)
    assert page <= 360 and content == box


def after(text: str, script: str, *flags: str) -> list[str]:
    """The words that a script, run in the page, returns."""
    code = f"<script>onload = () => document.title = (() => {{ {script} }})().join('|')</script>"
    Path("page.html").write_text(text + code, encoding="utf-8")
    shown = run(*flags, "--virtual-time-budget=10000", "--dump-dom", (Path.cwd() / "page.html").as_uri())
    found = re.search(r"<title>([^<]*)</title>", shown)
    assert found, shown[:500]
    return html.unescape(found[1]).split("|")


FIRST = "[...document.querySelector('tbody').rows].map((row) => row.cells[1].textContent.match(/beta=[^ ]+/)[0])"


def test_a_click_on_a_column_sorts_its_table(text: str) -> None:
    click = "document.querySelectorAll('thead button')[4].click();"
    script = f"const begin = {FIRST}; {click} const up = {FIRST}; {click} return [...begin, ...up, ...{FIRST}]"
    shown = after(text, script)
    assert shown[:3] == ["beta=0.5", "beta=1", "beta=4"]
    assert shown[4:8] == ["beta=4", "beta=1", "beta=0.5", "beta=1"]  # a failed run, without numbers, is always last
    assert shown[8:] == ["beta=0.5", "beta=1", "beta=4", "beta=1"]


def test_columns_can_be_chosen_rows_filtered_and_images_enlarged(text: str) -> None:
    width = "[...document.querySelector('thead tr').cells].filter((one) => one.offsetWidth).length"
    choose = "for (const one of document.querySelectorAll('.tools input')) if (!one.checked) one.click();"
    enlarge = "document.querySelector('figure img').click(); const box = document.querySelector('dialog');"
    opened = "[box.open, box.firstChild.src === document.querySelector('figure img').src]"
    boxes = "[...document.querySelectorAll('.tools [type=checkbox]')].map((one) => one.checked)"
    script = f"const chosen = {boxes}, few = {width}; {choose} const all = {width}; {enlarge} const image = {opened};"
    few, all_columns, opens, same, still_open, *chosen = after(
        text, f"{script} box.click(); return [few, all, ...image, box.open, ...chosen]"
    )
    assert {"true", "false"} == set(chosen)
    assert int(all_columns) - int(few) == chosen.count("false")
    assert (opens, same, still_open) == ("true", "true", "false")


def test_plots_follow_the_scheme_of_the_page(text: str) -> None:
    style = "['body', '.plot', '.image'].map((one) => getComputedStyle(document.querySelector(one)))"
    script = f"const [page, plot, image] = {style}; return [page.backgroundColor, plot.filter, image.filter]"
    light = after(text, script, "--blink-settings=preferredColorScheme=1")
    dark = after(text, script, "--blink-settings=preferredColorScheme=0")
    assert light == ["rgb(255, 255, 255)", "none", "none"]
    assert dark[0] == "rgb(22, 22, 22)" and "invert" in dark[1] and "invert" not in dark[2]


@pytest.mark.slow
def test_five_hundred_runs_load_in_two_seconds(workplace: Path) -> None:
    write_sweep(Path("all"), [0.1 * k for k in range(1, 126)], [0, 1, 2, 3])
    page = made()
    found = [float(after(page, "document.body.offsetHeight; return [performance.now()]")[0]) for _ in range(3)]
    assert min(found) < 2000, found


def test_the_page_prints(text: str) -> None:
    Path("page.html").write_text(text, encoding="utf-8")
    run("--no-pdf-header-footer", "--print-to-pdf=page.pdf", (Path.cwd() / "page.html").as_uri())
    assert Path("page.pdf").read_bytes().startswith(b"%PDF")
