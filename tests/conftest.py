import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")
# read when torch is imported, so before it is: tests run side by side, and their tensors are small
os.environ.setdefault("OMP_NUM_THREADS", "1")
# a job in the background may have inherited these as ignored, and would pass that on to each command under test
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

import pytest

if TYPE_CHECKING:
    from tests.support.interruptions import Whole


def pytest_collection(session: pytest.Session) -> None:
    """Prepare a process that runs tests, before its first import of vae_cli; one that deals them out needs no torch."""
    if session.config.getoption("dist", "no") != "no":
        return
    from tests.support import quick_composition, unsynced
    from tests.support.shapes import check_shapes

    warning = "lightning_fabric.utilities.warnings.PossibleUserWarning"  # a class, which pytest imports
    session.config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    check_shapes()
    quick_composition.install()
    unsynced.install()


def pytest_collection_finish() -> None:
    """Leave what the libraries made out of all later passes of the garbage collector."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    from tests.support import shapes

    shapes.check(shapes.CALLS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    import torch

    # torch.manual_seed would also queue seeds for devices that are not in use, each with a formatted stack
    seed = torch.manual_seed if torch.cuda.is_initialized() else torch.default_generator.manual_seed
    seed(0)
    torch.set_num_threads(1)  # as in the variable above, which a training in this process may overrule


def _raise(what: str, error: Exception) -> None:
    raise error


@pytest.fixture(autouse=True)
def nothing_recorded() -> None:
    """Trainings of other tests, which may change the code of a step, leave no recordings."""
    if recorded := sys.modules.get("vae_cli.training.recorded"):
        recorded._shared.cache_clear()


@pytest.fixture(autouse=True)
def nothing_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure or a side number that fails, which costs a run a warning only, fails a test."""
    from vae_cli.evaluation import optional

    monkeypatch.setattr(optional, "left_out", _raise)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VAE_CONF_DIR", "VAE_OUTPUT_DIR", "VAE_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> "Whole":
    """A run that nothing has interrupted, with its times."""
    from tests.support.interruptions import uninterrupted

    return uninterrupted(tmp_path_factory.mktemp("interruptions") / "work")
