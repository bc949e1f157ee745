"""Ready-made sweeps: every job is a configuration that can run, and the command line wins."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from tests.support.front import call
from vae_cli.config.command_line import quoted
from vae_cli.config.compose import parse
from vae_cli.config.preflight import prepare_training
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.layout import conf_folder
from vae_cli.runs.status import Status
from vae_cli.sweeps.table import SweepTable

pytestmark = pytest.mark.usefixtures("workplace")


def jobs(*arguments: str) -> list[dict[str, str]]:
    """The overrides of each job of a sweep; without torch, none of them trains."""
    done = call("train", *arguments, "hydra.sweep.dir=all")
    assert done.returncode == 1 and "torch" in done.stderr, done.stderr
    files = sorted(Path("all").glob("*/overrides.yaml"), key=lambda file: file.stat().st_mtime_ns)
    return [dict(line.split("=") for line in yaml.safe_load(file.read_text())["overrides"]) for file in files]


@pytest.mark.parametrize("option", Sources.find().options("sweep"))
def test_every_ready_made_sweep_composes(option: str) -> None:
    lines = [f"sweep={option}", "seed=0", "-m"]
    assert set(lines) <= set(prepare_training(lines).arguments)


@pytest.mark.slow
def test_the_command_line_wins_over_a_ready_made_sweep() -> None:
    found = jobs("-m", "sweep=lambda_alpha", "objective.alpha=0.25", "model.latent_dim=2")
    assert {job["model.latent_dim"] for job in found} == {"2"}
    pairs = [(job["objective.alpha"], job["objective.lambda_"]) for job in found]
    assert sorted(pairs) == sorted(itertools.product(["0.25"], ["1", "10", "100"]))


def test_a_ready_made_sweep_needs_no_flag() -> None:
    assert [job["objective.beta"] for job in jobs("sweep=beta")] == ["0.1", "0.5", "1", "2", "4"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["sweep=lambda_alpha", "objective.alpha=0,-1"], "objective.alpha=-1 and objective.lambda_=1 "),
        (["hparams_search=optuna", "model.latent_dim=4,0"], "model.latent_dim=0: expected an integer > 0"),
        (["hparams_search=optuna", "objective.beta=interval(-1,2)"], "objective.beta=-1.0: expected a number >= 0"),
        (["hparams_search=optuna", "dataset.val_size=0"], "dataset.val_size=0: a search needs validation data"),
        (["-m", "objective.beta=interval(0,1)"], "or search with hparams_search=optuna"),
    ],
)
def test_no_job_starts_if_one_cannot_run(arguments: list[str], part: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        prepare_training(arguments)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("group", "line", "extra"),
    [("sweeper", "hparams_search=optuna", "sweep"), ("launcher", "hydra/launcher=submitit_local", "slurm")],
)
def test_a_plugin_that_is_not_installed(group: str, line: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_training(["seed=0"])  # finds the plugins
    options = ConfigStore.instance().repo["hydra"][group]
    monkeypatch.delitem(options, "optuna.yaml" if group == "sweeper" else "submitit_local.yaml")
    with pytest.raises(ConfigError, match=rf"its plugin is not installed .*pip install 'vae-cli\[{extra}\]'"):
        prepare_training(["-m", line])


def test_the_command_that_goes_on() -> None:
    table = SweepTable()
    table.folder = Path("/a b")
    assert shlex.split(table.command(["-m", "seed=1,2"])) == ["vae-train", "-m", "seed=1,2", "hydra.sweep.dir=/a b"]
    assert table.command(["-m", "hydra.sweep.dir=c"]) == "vae-train -m hydra.sweep.dir=c"


def test_the_sweep_that_wandb_steers() -> None:
    sweep = yaml.safe_load((conf_folder() / "wandb_sweep.yaml").read_text())
    assert sweep["command"] == ["${env}", "vae-train", "${args_no_hyphens}"]
    values = {
        key: node.get("values") or [node[end] for end in ("value", "min", "max") if end in node]
        for key, node in sweep["parameters"].items()
    }
    for choice in (0, -1):
        prepare_training([f"{key}={value[choice]}" for key, value in values.items()])


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("[--qos=long]", ["--qos=long"]),
        ("--qos=long", ["--qos=long"]),
        ("[--hold, --exclude=n1,n2, --mail-user=a@b.org]", ["--hold", "--exclude=n1,n2", "--mail-user=a@b.org"]),
        ("""['--comment=a b',"--gres=gpu:a100:1"]""", ["--comment=a b", "--gres=gpu:a100:1"]),
        ("[]", []),
    ],
)
def test_options_of_sbatch_need_no_quotes(written: str, options: list[str]) -> None:
    (override,) = parse([quoted(f"cluster.options={written}")])
    assert override.value() == options


def test_the_example_beside_the_options_of_sbatch_is_one() -> None:
    (example,) = re.findall(r"^options: .*as in (\[.*\])$", (conf_folder() / "cluster/none.yaml").read_text(), re.M)
    assert prepare_training(["dataset=digits", f"cluster.options={example}"]).arguments


@pytest.mark.parametrize(
    ("time", "remedy"), [(1, "use cluster.time=4"), (2, "use cluster.notice=30 or cluster.time=4")]
)
def test_the_notice_is_shorter_than_the_time_limit(time: int, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    sweep = ["-m", "dataset=digits", "cluster=slurm", "seed=0,1"]
    with pytest.raises(ConfigError, match=rf"cluster.notice=120: too long for cluster.time={time} .*; {remedy}"):
        prepare_training([*sweep, f"cluster.time={time}"])
    assert prepare_training([*sweep, "cluster.time=2", "cluster.notice=30"]).arguments


def test_the_notice_suffices_for_the_saves_of_earlier_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    sweep = ["-m", "dataset=digits", "cluster=slurm", "seed=0,1", f"hydra.sweep.dir={tmp_path}"]
    for name, seconds in (("seed=0", 1.0), ("seed=1", 70.2)):
        (tmp_path / name).mkdir()
        RunFolder(tmp_path / name).write_status(Status("interrupted", save_seconds=seconds))
    for time, remedy in (("cluster.time=60", ""), ("cluster.time=3", " cluster.time=4")):
        with pytest.raises(ConfigError, match=f"cluster.notice=100: too short .*; use cluster.notice=141{remedy}$"):
            prepare_training([*sweep, "cluster.notice=100", time])
    assert prepare_training([*sweep, "cluster.notice=141"]).arguments


@pytest.mark.parametrize("processes", ["trainer.devices=2", "trainer.num_nodes=2"])
def test_a_run_of_several_processes_is_not_packed(processes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    sweep = ["-m", "dataset=digits", "cluster=slurm", "trainer.accelerator=cpu", "seed=0,1", processes]
    with pytest.raises(ConfigError, match=r"cluster.pack=4: .* \(command line\); use cluster.pack=1, or"):
        prepare_training([*sweep, "cluster.pack=4"])
    assert prepare_training([*sweep, "cluster.pack=auto"]).arguments
