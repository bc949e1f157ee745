"""A run on the Hugging Face Hub, without a network: its commit as files, and a copy of it in the cache."""

from pathlib import Path

import pytest
import torch

import vae_cli
from tests.support.commands import fork
from tests.support.configs import composed
from tests.support.training import train
from vae_cli.commands.export.push import commit
from vae_cli.config.command_schemas import PushConfig
from vae_cli.errors import UserError
from vae_cli.runs import hub

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push") / "run"
    train(composed("dataset=digits", "network.hidden=[8]", "model.latent_dim=2", "trainer.max_epochs=1"), folder)
    return folder


def test_a_published_run_is_loaded_from_its_copy(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copy = tmp_path / "vae_cli/hub/me/digits"
    for one in commit(PushConfig(str(folder), "last", "me/digits", True)):
        path = copy / one.path_in_repo
        path.parent.mkdir(parents=True, exist_ok=True)
        with one.as_file() as file:
            path.write_bytes(file.read())
    assert 'vae_cli.load("hf://me/digits")' in (copy / "README.md").read_text(encoding="utf-8")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    run, last = vae_cli.load("hf://me/digits"), vae_cli.load(folder, "last")
    assert run.results == last.results and run.facts == last.facts
    assert all(map(torch.equal, run.model.state_dict().values(), last.model.state_dict().values()))


def test_without_a_network_the_command_and_the_function_name_the_remedy(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"hf://me/other: cannot be fetched .*hf auth login"):
        vae_cli.load("hf://me/other")
    with pytest.raises(UserError, match="no repository; use hf://USER/NAME"):
        vae_cli.load(f"{hub.SCHEME}other")
    done = fork("vae-push", "run=run", "to=me/digits", folder=folder.parent, **OFFLINE)
    assert done.code == 1 and "to=me/digits: cannot be published (" in done.err and "hf auth login" in done.err
    refused = fork("vae-push", "run=run", "to=digits", folder=folder.parent, **OFFLINE)
    assert refused.code == 2 and "use to=USER/NAME" in refused.err
