"""`vae-explore`: the page of a run, served to this machine alone."""

from __future__ import annotations

from pathlib import Path

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.server.server import Server

from vae_cli.commands.explore.page import Page
from vae_cli.commands.explore.space import Space
from vae_cli.commands.run import load
from vae_cli.config.command_schemas import ExploreConfig
from vae_cli.distributed.progress import task
from vae_cli.distributed.terminal import say
from vae_cli.errors import UserError

LOOPBACK = "127.0.0.1"


def explore_run(config: ExploreConfig) -> None:
    """Serve the page until Ctrl-C."""
    with task("loading the run"):
        run = load(Path(config.run), config.ckpt, dataset_path=config.dataset.path, dataset_root=config.dataset.root)
    server = serve(Space.of(run, config), config)
    say(f"open http://{LOOPBACK}:{server.port}/ in a browser; Ctrl-C ends the page")
    server.io_loop.start()


def serve(space: Space, config: ExploreConfig) -> Server:
    """A server that has begun; each visitor has a page with its own code."""
    application = Application(FunctionHandler(lambda document: Page(space, config.sliders).show(document)))
    try:
        server = Server({"/": application}, address=LOOPBACK, port=config.port)
    except OSError as error:
        raise UserError(f"port={config.port}: cannot be used ({error.strerror}); use port=0 for a free one") from error
    server.start()
    return server
