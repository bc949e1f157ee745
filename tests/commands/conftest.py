import time

import pytest

from tests.support.commands import fork
from tests.support.interruptions import HERE, VADE, Span, Whole
from tests.support.runs import results


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that nothing has interrupted, with its times."""
    work = tmp_path_factory.mktemp("interruptions") / "work"
    work.mkdir()
    fork("vae-train", "--version", folder=work)  # starts the server that the others are forked from
    began, run = time.time(), work / "run"
    done = fork("vae-train", *VADE, "trainer.checkpoint_every=null", *HERE, folder=work)
    assert (done.code, done.err) == (0, "")
    assert results(run)["train/epochs"] == 6
    files = ("config.yaml", "checkpoints/last.ckpt", "results.json")
    first, trained, last = ((run / name).stat().st_mtime for name in files)
    spans = [Span(None, first - began), Span("config.yaml", trained - first), Span("config.yaml", last - first)]
    return Whole(run, *spans)
