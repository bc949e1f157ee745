"""Help: narrow, complete, and without the libraries that are slow to import."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.support.front import call
from vae_cli.config import help, option_help
from vae_cli.config.comparison import flat
from vae_cli.config.preflight import prepare_training
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.runs import layout

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "evaluate",
        "sample",
        "encode",
        "score",
        "reconstruct",
        "export",
        "push",
        "explore",
        "kl",
        "cavi",
        "report",
    ],
)
def test_help_is_narrow_and_complete(command: str) -> None:
    done = call(command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= help.WIDTH
    if command == "train":
        for group in Sources.find().groups():
            for option in Sources.find().options(group):
                assert f" {option}" in done.stdout
        assert "  * vae " in done.stdout
        assert all(f"  {key}=" in done.stdout for key in ("name", "tags"))
        assert "callbacks" not in done.stdout.split()
        assert not any(line.startswith(" a ") for line in done.stdout.splitlines())
    if command in ("train", "evaluate", "sample", "report"):
        assert "last, the newest" in " ".join(done.stdout.split())


@pytest.mark.parametrize("width", [80, 120])
def test_help_is_wrapped_to_the_terminal_and_not_cut(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for file in help.USAGES.glob("vae-*.txt"):
        shown = help.text(file.stem, ["--help"])
        assert max(map(len, shown.splitlines())) <= min(width, help.WIDTH)
    shown = help.text("vae-train", ["--help"])
    words = help.description(layout.conf_folder() / "dataset" / "array.yaml").split()
    assert " ".join(words) in " ".join(shown.split())


@pytest.mark.parametrize(
    ("command", "choices", "rows"),
    [
        ("vae-train", ["dataset=array"], ["dataset.path=... text; .npz, .npy", "likelihood=gaussian chosen with it"]),
        ("vae-train", ["posterior=iaf", "optimizer=adam"], ["posterior.steps=2 an integer > 0; steps of the flow"]),
        (
            "vae-train",
            ["trainer=gpu"],
            ["trainer.accelerator=gpu one of auto, cpu, gpu", "trainer.max_epochs=20 an"],
        ),
        ("vae-eval", ["evaluate=gaps"], ["evaluate.gaps.images=100 an integer > 0; first images", "evaluate.samples="]),
        ("vae-kl", ["target=bimodal"], ["target.means=[-2.5, 2.5] a list [a number]; means"]),
    ],
)
def test_the_help_of_an_option_lists_its_keys(command: str, choices: list[str], rows: list[str]) -> None:
    shown = " ".join(help.text(command, [*choices, "--help"]).split())
    assert all(f"{choice}: " in shown for choice in choices)
    assert all(row in shown for row in rows), shown
    assert "usage:" not in shown


def test_the_help_of_an_option_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="posterior=iaff: no such option; nearest: posterior=iaf"):
        help.text("vae-train", ["posterior=iaff", "--help"])


@pytest.mark.parametrize(("word", "near"), [("resluts", "nearest: --help results;"), ("zarr", "in --help data;")])
def test_an_unknown_page_names_the_nearest_or_those_that_have_the_word(word: str, near: str) -> None:
    with pytest.raises(ConfigError, match=near):
        help.text("vae-train", ["--help", word])


@pytest.mark.parametrize("group", Sources.find().groups())
def test_the_help_of_every_option_has_the_keys_of_its_class(group: str) -> None:
    for name in Sources.find().options(group):
        keys = {left.partition("=")[0] for left, _ in option_help.option(Sources.find(), group, name)}
        assert not any(key.endswith("_target_") for key in keys)
        for key, expected in plain_keys(group, name).items():
            assert any(key == known or key.startswith(f"{known}.") for known in keys), (name, key, expected)


def plain_keys(group: str, name: str) -> dict[str, object]:
    """The leaves of an option's own file, by their dotted keys."""
    file = Sources.find().file(f"{group}/{name}")
    assert file is not None
    content = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(content, dict)
    content.pop("defaults", None)
    whole = "@package _global_" in file.read_text(encoding="utf-8")
    return {k: v for k, v in flat(content if whole else {group: content}) if not k.endswith("_target_") and v != {}}


def test_every_option_has_a_description() -> None:
    for file in layout.conf_folder().glob("*/*.yaml"):
        assert help.description(file), file


def test_the_values_in_help_are_keys() -> None:
    values = help.text("vae-train", ["--help"]).partition("values:\n")[2].partition("\n\n")[0]
    examples = re.findall(r"^  (\S+=\S+) ", values, re.M)
    assert len(examples) > 10
    prepare_training([example for example in examples if not example.endswith(("=DIR", "=FILE"))])


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["objective.bta=2"]])
def test_answers_need_none_of_the_slow_libraries(arguments: list[str], workplace: Path) -> None:
    done = call("train", *arguments)
    assert done.returncode == (2 if "=" in arguments[0] else 0), done.stderr
    assert len(done.stderr.splitlines()) == (1 if "=" in arguments[0] else 0)
    assert list(workplace.iterdir()) == []


def test_cfg_shows_what_would_run() -> None:
    done = call("train", "--cfg", "job", "-p", "objective", "objective.beta=3")
    assert "beta: 3" in done.stdout
    assert "outputs" in call("train", "--cfg", "hydra", "--resolve").stdout
