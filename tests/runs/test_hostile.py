"""Run folders, images and names that would lead a command elsewhere: refused in one line, and nothing is written."""

import json
import sys
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from omegaconf import DictConfig

from tests.support.commands import ROOT, Done, fingerprint
from tests.support.configs import mapping
from tests.support.faults import ROWS, expect
from vae_cli import cli
from vae_cli.datasets.files import locked
from vae_cli.datasets.npz import NpzArrays, memory_bytes
from vae_cli.errors import ConfigError, UserError
from vae_cli.report.arguments import Arguments
from vae_cli.runs.folder import RunFolder
from vae_cli.sweeps import table

pytestmark = pytest.mark.usefixtures("workplace")
SHARED = Path("run")


def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> Done:
    """How a command ended in this process; nothing is written."""
    before = fingerprint(Path())
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as stop:
        getattr(cli, name)()
    assert fingerprint(Path()) == before
    assert isinstance(stop.value.code, int)
    return Done(stop.value.code, *capsys.readouterr())


@cache
def configuration() -> DictConfig:
    return mapping()


@pytest.fixture
def shared(workplace: Path) -> Path:
    """A run's folder from elsewhere, as far as it is read before anything is refused."""
    (SHARED / "checkpoints").mkdir(parents=True)
    RunFolder(SHARED).begin(configuration())
    for name in ("best", "last"):
        (SHARED / f"checkpoints/{name}.ckpt").touch()
    return SHARED


def change(old: str, new: str) -> None:
    text = (SHARED / "config.yaml").read_text()
    assert old in text
    (SHARED / "config.yaml").write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("link", ["evaluations", "samples", "vae-train.log", ".lock", "checkpoints/previous.ckpt"])
def test_a_link_leads_out_of_a_shared_run(link: str, shared: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (shared / link).symlink_to(tmp_path / "elsewhere")
    done = command(monkeypatch, capsys, "evaluate", "run=run")
    expect("link out of a shared run", Done(done.code, done.out, done.err.replace(link, "evaluations")))
    assert command(monkeypatch, capsys, "sample", "run=run").code == 2
    assert "leads out" in command(monkeypatch, capsys, "train", "resume=run").err


def test_a_shared_configuration_holds_values_only(shared: Path, monkeypatch, capsys) -> None:
    change("wandb: null", "wandb: ${oc.env:HOME}")
    expect("interpolation in a shared run", command(monkeypatch, capsys, "evaluate", "run=run"))
    assert "interpolation" in command(monkeypatch, capsys, "train", "resume=run").err


def test_a_shared_configuration_names_no_foreign_class(shared: Path, monkeypatch, capsys) -> None:
    change("_target_: vae_cli.objectives.ELBO", "_target_: os.system")
    expect("class of another package in a shared run", command(monkeypatch, capsys, "evaluate", "run=run"))


def test_arguments_of_a_class_have_names(shared: Path, monkeypatch, capsys) -> None:
    change("_target_: vae_cli.objectives.ELBO", "_args_: [1]\n  _target_: vae_cli.objectives.ELBO")
    done = command(monkeypatch, capsys, "evaluate", "run=run")
    assert done.code == 2
    assert "objective._args_" in done.err


@pytest.mark.parametrize(
    "target",
    [
        "vae_cli.runs.results.subprocess.run",
        "vae_cli.cli.sys.exit",
        "vae_cli.runs.atomic_files.write_atomically",
        "vae_cli.objectives.ELBO.__init__.__globals__",
        "vae_cli.../../secrets.X",
        "torch.nn.modules.module.inspect.os.system",
        "torch.nn./etc/passwd",
        "torch.nn.utils.parametrize.type_before_parametrizations",
        "torch.hub.load",
    ],
)
@pytest.mark.parametrize(
    "place", ["_target_: {}", "extra: {{_target_: {}}}", "extra: [{{_target_: {}, _args_: [id]}}]"]
)
def test_only_classes_can_be_named(target: str, place: str, shared: Path, monkeypatch, capsys) -> None:
    change("_target_: vae_cli.objectives.ELBO", place.format(target))
    done = command(monkeypatch, capsys, "evaluate", "run=run")
    assert done.code == 2
    assert f"._target_={target}: " in done.err


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &a [x]\nb: [*a, *a]\n", "line 2 holds a YAML alias, *a"),
        ("[" * 1500, "not readable"),
        ("a: !!python/object/apply:os.system [id]\n", "not readable"),
        ("# " + "x" * 1_000_000, "1,000,002 bytes are too many"),
        ("- a\n- b\n", "not the configuration of a run"),
        ("", "it is empty; restore it, or train again"),
        ("format: 3\nmodel: [\n", "line 3 is not valid YAML, "),
        ("model: {}\ndataset: {}\n", "states no format"),
        ("format: 4\nmodel: {}\ndataset: {}\n", "format: 4, but this version of vae-cli reads formats 1 to 3; update"),
        ("format: one\nmodel: {}\ndataset: {}\n", "states format: one"),
        ("format: true\nmodel: {}\ndataset: {}\n", "states format: True"),
        ("\0", "not readable"),
    ],
)
def test_shared_configurations_that_are_none(text: str, part: str, shared: Path, monkeypatch, capsys) -> None:
    (shared / "config.yaml").write_text(text)
    done = command(monkeypatch, capsys, "evaluate", "run=run")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert part in done.err


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("hydra.job.name=../x", "name that leads elsewhere"),
        ("hydra.output_subdir=../../x", "hydra.output_subdir=../../x: invalid name"),
        ("hydra.output_subdir=.", "invalid name"),
        ("hydra.run.dir=run/inside", "lies in the folder of a run, run"),
        ("hydra.run.dir=project", "folder with other files"),
        ("hydra.run.dir=.", "is no folder of a run"),
        ("hydra.run.dir=/etc", "is no folder of a run"),
        ("hydra.sweep.subdir=../x", "hydra.sweep.subdir=../x: a job's folder has the name of its overrides"),
    ],
)
@pytest.mark.parametrize("more", [[], ["ckpt=last"]])
def test_names_that_lead_elsewhere(
    argument: str, part: str, more: list[str], shared: Path, monkeypatch, capsys
) -> None:
    Path("project").mkdir()
    Path("project/config.txt").touch()
    done = command(monkeypatch, capsys, "train", argument, *(more if "run.dir" in argument else []))
    if part in ROWS:
        expect(part, done)
    else:
        assert done.code == 2
        assert part in done.err


def test_a_folder_with_the_output_of_a_batch_system_is_free(monkeypatch, capsys) -> None:
    from vae_cli.config.preflight import prepare_training

    Path("job/.submitit").mkdir(parents=True)
    Path("job/slurm-1.out").touch()
    prepare_training(["hydra.run.dir=job"])


def test_data_are_not_fetched_into_a_run(shared: Path) -> None:
    with pytest.raises(UserError, match="data would be fetched into the folder of a run, run"), locked(shared / "data"):
        pass
    assert not (shared / "data").exists()


def test_a_report_is_not_written_over_something_else(shared: Path) -> None:
    Path("thesis").mkdir()
    Path("thesis/report.tex").write_text("my thesis")
    with pytest.raises(ConfigError, match=r"thesis/report\.tex: exists and was not written by"):
        Arguments.parse(["run", "out=thesis"])


def test_a_sweep_with_damaged_results_has_a_table() -> None:
    for number, content in enumerate(["{", "[1]", "{}", '{"status": "done"}']):
        job = Path("all") / str(number)
        job.mkdir(parents=True)
        (job / "overrides.yaml").write_text("- a=1\n" if number else "a: [")
        (job / "results.json").write_text(content)
    rows = table.read_rows(Path("all"))
    assert sorted(row["status"] for row in rows) == ["done", "unfinished", "unfinished", "unfinished"]
    json.dumps(rows)


def test_an_archive_that_unpacks_without_end() -> None:
    np.savez_compressed("a.npz", x=np.zeros((10, 2)))
    with zipfile.ZipFile("b.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", bytes(100))
        file.infolist()[0].file_size = memory_bytes() + 1
    with pytest.raises(UserError, match=r"b.npz: unpacks to [\d,]+ bytes; this machine's memory has"):
        NpzArrays(Path("b.npz"))
    assert NpzArrays(Path("a.npz"))["x"].shape == (10, 2)


def test_a_folder_in_use(shared: Path) -> None:
    with FileLock(shared / ".lock"), pytest.raises(UserError) as error, RunFolder(shared).hold():
        pass
    expect("folder in use", Done(error.value.exit_code, "", f"vae-train: error: {error.value}"))


def test_every_fault_of_the_page_is_tried() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(ROWS) > 20
    assert not [fault for fault in ROWS if f'"{fault}"' not in tests]
