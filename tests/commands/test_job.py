"""Ways to fail, sweeps and signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.utilities.exceptions import SIGTERMException

from tests.support.commands import fork
from tests.support.front import ROOT, call
from vae_cli.commands.failure import Failure, attempt
from vae_cli.errors import ConfigError, UserError
from vae_cli.runs.folder import RunFolder
from vae_cli.sweeps import table

pytestmark = pytest.mark.usefixtures("workplace")


def failing(error: BaseException) -> Failure:
    def work() -> None:
        raise error

    failure = attempt(work, Path("folder/vae-train.log"))
    assert isinstance(failure, Failure)
    assert "\n" not in failure.message
    return failure


def test_a_process_ends_without_passes_over_all_objects() -> None:
    code = "import atexit, gc, vae_cli.commands.failure; atexit._run_exitfuncs(); print(gc.get_freeze_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1000


def test_every_way_to_fail_has_its_code() -> None:
    assert failing(UserError("no data\nhere")) == Failure("no data here", 1)
    assert failing(ConfigError("bad")).exit_code == 2
    assert failing(KeyboardInterrupt()) == Failure("interrupted", 130, "interrupted")
    assert failing(SIGTERMException()) == Failure("terminated", 143, "interrupted")
    assert failing(OSError(28, "No space left on device", "x.ckpt")).message == "No space left on device: x.ckpt"
    assert failing(ValueError("a\nb")).message == "ValueError: a b; traceback in folder/vae-train.log"
    assert attempt(lambda: 3) == 3


def test_a_failed_run_says_so_in_its_folder(workplace: Path) -> None:
    RunFolder(workplace).write_end("failed", "disk full")
    assert json.loads(Path("results.json").read_text()) == {"status": "failed", "error": "disk full"}
    assert json.loads(Path("status.json").read_text())["state"] == "failed"
    assert sorted(path.name for path in workplace.iterdir()) == ["results.json", "status.json"]


def test_the_table_of_a_sweep(tmp_path: Path, capsys) -> None:
    for beta, results in (
        (1, {"status": "done", "test/elbo": -100.25}),
        (2, {"status": "failed", "error": "no data"}),
        (3, None),
    ):
        folder = tmp_path / f"job{beta}"
        folder.mkdir()
        (folder / "overrides.yaml").write_text(f"- dataset=digits\n- objective.beta={beta}\n")
        os.utime(folder / "overrides.yaml", (beta, beta))
        if results:
            (folder / "results.json").write_text(json.dumps(results))
    (tmp_path / ".slurm").mkdir()
    (tmp_path / ".slurm" / "7_0.log").touch()
    (tmp_path / ".slurm" / "jobs.json").write_text('{"job1": "7_0", "job2": "7_1"}')
    sweep_table = table.SweepTable()
    plugins = {
        "sweeper": {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"},
        "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
    }
    sweep_table.on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, **plugins}}))
    assert sweep_table.finish() == 1
    rows = json.loads((tmp_path / "sweep.json").read_text())
    assert [row["status"] for row in rows] == ["done", "failed", "unfinished"]
    assert rows[0]["test/elbo"] == -100.25
    assert [row["log"] for row in rows] == [".slurm/7_0.log", None, None]
    out = capsys.readouterr().out
    assert re.search(r"^ +job1 +done +\.slurm/7_0\.log +-100\.250", out, re.M)
    assert re.search(r"^ +job2 +failed", out, re.M) and "job2: no data" in out
    assert "dataset=digits" not in out


def test_the_table_of_a_sweep_ends_with_means_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (beta, seed, elbo) in enumerate([(1, 0, -10.0), (1, 1, -11.0), (1, 2, -12.0), (4, 0, -20.0)]):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        lines = ["dataset=digits", f"objective.beta={beta}", f"seed={seed}"]
        (folder / "overrides.yaml").write_text("".join(f"- {line}\n" for line in lines))
        os.utime(folder / "overrides.yaml", (number, number))
        (folder / "results.json").write_text(json.dumps({"status": "done", "test/elbo": elbo}))
    sweep_table = table.SweepTable()
    sweep_table.folder = tmp_path
    assert sweep_table.finish() == 0
    means = capsys.readouterr().out.partition("mean over seeds")[2]
    assert re.search(r"^ +objective\.beta=1 +3 +-11\.0 ± 2\.5", means, re.M)  # 4.303 / sqrt(3), Student's t
    assert re.search(r"^ +objective\.beta=4 +1 +-20 +$", means, re.M)
    rows = table.read_rows(tmp_path)
    assert not table.over_seeds(rows[2:]) and list(table.over_seeds(rows[:3])) == ["all jobs"]
    assert not table.over_seeds([row | {"score": 1.0} for row in rows])


def test_a_failing_job_does_not_stop_the_others(workplace: Path) -> None:
    """Each leaves its status, the sweep its table and its exit code."""
    (workplace / "a folder.npz").mkdir()
    data = ("dataset=array", "likelihood=gaussian", "dataset.path=a folder.npz", "logger=none")
    done = fork("vae-train", "-m", "seed=1,2", *data, "hydra.sweep.dir=all of them", folder=workplace)
    assert done.code == 1
    assert done.err.count("vae-train: error: ") == 2
    rows = json.loads((workplace / "all of them" / "sweep.json").read_text())
    assert [row["overrides"][0] for row in rows] == ["seed=1", "seed=2"]
    assert all(row["status"] == "failed" and "a folder.npz" in row["error"] for row in rows)


def test_a_failing_run_exits_with_one_line(workplace: Path) -> None:
    """Without torch every run fails."""
    done = call("train", "hydra.run.dir=one")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert json.loads((workplace / "one" / "results.json").read_text())["status"] == "failed"
    log = (workplace / "one" / "vae-train.log").read_text()
    assert "Traceback" in log and f" ERROR vae_cli: {done.stderr.strip().removeprefix('vae-train: error: ')}" in log
    assert json.loads((workplace / "one" / "status.json").read_text())["state"] == "failed"


def test_a_users_own_option_reaches_the_job(workplace: Path) -> None:
    Path("vae_conf/model").mkdir(parents=True)
    Path("vae_conf/model/mine.yaml").write_text("# my own\ndefaults: [vae]\nlatent_dim: 3\n")
    done = call("train", "--cfg", "job", "model=mine", "-p", "model.latent_dim")
    assert done.stdout.strip() == "3", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "term")]
)
def test_a_signal_ends_a_sweep(number: int, code: int, word: str, workplace: Path) -> None:
    line = [sys.executable, "-c", "from vae_cli.cli import train; train()", "-m", "seed=1,2", "hydra.sweep.dir=all"]
    line += ["dataset=linear_gaussian", "logger=none", "trainer.max_epochs=10000", "trainer.limit_batches=2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(Path("all").glob("*/checkpoints/last.ckpt")):
        time.sleep(0.1)
        assert process.poll() is None, process.communicate()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert len(err.splitlines()) == 1, err
    assert f"vae-train: error: {word}" in err
    assert [row["status"] for row in json.loads(Path("all/sweep.json").read_text())] == ["interrupted"]
