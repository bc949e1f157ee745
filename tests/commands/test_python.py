"""The interface of Python: names, a training in this process, a run in a notebook, `python -m vae_cli`."""

import gc
import logging
import os
import pydoc
import random
import rlcompleter
import signal
import subprocess
import sys
import warnings
from base64 import b64encode
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import vae_cli
from tests.support.commands import environment, fork
from tests.support.front import SLOW
from tests.support.interruptions import numbers
from tests.support.plugins import fragile
from tests.support.report_markup import Markup
from tests.support.training import without_figures
from vae_cli.distributions.standardisation import Scored
from vae_cli.errors import ConfigError, UserError

TINY = [
    "dataset=digits", "network.hidden=[16]", "model.latent_dim=2", "evaluate.samples=2", "logger=csv",
    "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> vae_cli.Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("python"))
        return vae_cli.train([*TINY, "hydra.run.dir=run", "name=first", "tags=[a,b]"])


def state() -> list[object]:
    """The state of this process that a training leaves unchanged."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)]
    root = logging.getLogger()
    draws = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    own = [root.handlers[:], root.level, warnings.filters[:], Path.cwd(), torch.get_num_threads()]
    denormal = torch.full((), 1e-38).mul(0.1).item()
    return [*handlers, *own, *draws, dict(os.environ), gc.get_freeze_count() > 0, denormal]


def test_the_names_are_there_before_torch_is_imported() -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({SLOW})); import vae_cli; print(*dir(vae_cli))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.stdout.split() == sorted(vae_cli.__all__), done.stderr


def test_completion_and_help_know_the_functions() -> None:
    matches = rlcompleter.Completer({"vae_cli": vae_cli}).attr_matches("vae_cli.")
    assert {"vae_cli.load(", "vae_cli.train("} <= set(matches)
    text = pydoc.plain(pydoc.render_doc(vae_cli))
    assert "load(folder" in text and "train(overrides" in text


def test_a_training_is_that_of_the_command(run: vae_cli.Run, tmp_path: Path) -> None:
    done = fork("vae-train", *TINY, "hydra.run.dir=run", "name=first", "tags=[a,b]", folder=tmp_path, FIGURES="yes")
    assert done.code == 0, done.err
    folder, other = run.folder, tmp_path / "run"
    assert numbers(folder) == numbers(other)
    files = [{str(file.relative_to(place)) for file in place.rglob("*")} for place in (folder, other)]
    assert files[0] == files[1]
    for name in ("config.yaml", "overrides.yaml"):
        assert (folder / name).read_text() == (other / name).read_text()


def test_a_refusal_is_the_line_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for error, line in ((ConfigError, "objective.bet=4"), (UserError, "dataset.val_size=5000")):
        with pytest.raises(error) as refused:
            vae_cli.train([*TINY, "hydra.run.dir=here", line])
        assert (
            fork("vae-train", *TINY, "hydra.run.dir=there", line, folder=tmp_path).err
            == f"vae-train: error: {refused.value}\n"
        )
    with pytest.raises(ConfigError, match=r"^-m: "):
        vae_cli.train(["-m", "seed=1,2"])
    with pytest.raises(ConfigError, match="sweep"):
        vae_cli.train([*TINY, "sweep=beta"])


def test_an_interrupted_training_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_PLUGINS", "fragile")
    monkeypatch.syspath_prepend(str(fragile.HERE))
    before = state()
    Path("interrupt").touch()
    target = "objective._target_=fragile.Fragile"
    with without_figures(), pytest.raises(KeyboardInterrupt) as stopped:
        vae_cli.train([*TINY, "hydra.run.dir=run", target, "trainer.max_epochs=3"])
    assert state() == before
    (note,) = stopped.value.__notes__
    assert "resume=run" in note
    with without_figures():
        resumed = vae_cli.train(["resume=run"])
    assert state() == before
    assert resumed.results["train/epochs"] == 3


def test_numbers_and_history(run: vae_cli.Run) -> None:
    assert run.results["status"] == "done"
    written = pd.read_csv(run.folder / "metrics.csv", index_col="epoch")
    pd.testing.assert_frame_equal(run.history, written, check_dtype=False)
    assert run.results["val/elbo"] == pytest.approx(run.history["val/elbo"].max())


def test_a_run_shows_itself(run: vae_cli.Run) -> None:
    text, html = repr(run), run._repr_html_()
    shown = f"{run.results['test/elbo']:,.3f}"
    for part in (shown, "Bernoulli", "digits", "done", "first", "a, b"):
        assert part in text and part in Markup(html).text


def test_figures_are_the_files(run: vae_cli.Run) -> None:
    assert {"samples", "reconstructions", "training_curves"} <= set(run.figures)
    image = (run.folder / "figures" / "samples.png").read_bytes()
    assert run.figures["samples"]._repr_png_() == image
    assert b64encode(image).decode() in run.figures._repr_html_()


def test_reconstructions_are_means_at_the_mean_code(run: vae_cli.Run) -> None:
    x = run.data.test.x[:5]
    assert isinstance(x, torch.Tensor)
    model = run.model
    with torch.no_grad():
        q = model.posterior(run.batch(x))
        expected = model.likelihood(q.mean.unsqueeze(0))
    assert not isinstance(expected, Scored)
    torch.testing.assert_close(run.reconstruct(x), expected.mean[0])


@pytest.mark.parametrize("ask", ["log_likelihood", "sample"])
def test_a_number_of_samples_is_positive(ask: str, run: vae_cli.Run) -> None:
    with pytest.raises(UserError, match="=0: an integer > 0 is needed"):
        run.sample(0) if ask == "sample" else run.log_likelihood(run.data.test.x[:2], samples=0)


def test_python_m_lists_and_runs_the_commands(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')\n")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "vae_cli", *arguments]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=60)

    listing = call()
    assert listing.returncode == 0 and all(f"  {name} " in listing.stdout for name in ("train", "eval", "report"))
    unknown = call("vae-trian")
    assert (unknown.returncode, unknown.stdout) == (2, "") and "nearest: train" in unknown.stderr
    refused = call("train", "objective.bet=4")
    assert refused.returncode == 2 and refused.stderr.startswith("vae-train: error: objective.bet: unknown key")
