"""`vae-push`: a run as a repository of the Hugging Face Hub, which `vae_cli.load("hf://USER/NAME")` loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vae_cli.commands.export.card import card
from vae_cli.commands.run import load
from vae_cli.config.command_schemas import PushConfig
from vae_cli.distributed.progress import task
from vae_cli.distributed.terminal import say
from vae_cli.errors import UserError, first_line
from vae_cli.runs import hub
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.run_files import RESULTS

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

CODE = """\
import vae_cli  # pip install 'vae-cli[hub]'

run = vae_cli.load("{place}")
x = run.sample(16)
q = run.encode(x)"""


def push_run(config: PushConfig) -> None:
    """Publish a run: one commit with its files and a model card."""
    from huggingface_hub import HfApi

    files = commit(config)
    with task(f"publishing {config.to}"):
        try:
            api = HfApi()
            api.create_repo(config.to, private=config.private, exist_ok=True)
            done = api.create_commit(config.to, files, commit_message="A run of vae_cli")
        except Exception as error:  # the library raises its own kinds, those of its client, and OSError
            remedy = "check the name, the network and the login (hf auth login)"
            raise UserError(f"to={config.to}: cannot be published ({first_line(error)}); {remedy}") from error
    say(f"published: {done.commit_url}")
    say(f'load it with: vae_cli.load("{hub.SCHEME}{config.to}")')


def commit(config: PushConfig) -> list[CommitOperationAdd]:
    """The files of the commit."""
    from huggingface_hub import CommitOperationAdd

    with task("loading the run"):
        run = load(Path(config.run), config.ckpt)
    folder = RunFolder(run.folder)
    code = CODE.replace("{place}", f"{hub.SCHEME}{config.to}")
    chosen = {hub.BEST: folder.checkpoint(config.ckpt), RESULTS: folder.results_file}
    files = folder.published() | {name: file for name, file in chosen.items() if file.is_file()}
    kept = [CommitOperationAdd(name, path) for name, path in files.items()]
    return [*kept, CommitOperationAdd("README.md", card(run, code).encode())]
