"""Imported by the server that worker processes are forked from: all that every training imports."""

import gc
from contextlib import suppress

from vae_cli.commands.light_imports import uncollected

with suppress(Exception), uncollected():  # a library that is broken fails again in the jobs, which report it
    import vae_cli.commands.train
    import vae_cli.sweeps.together
    import vae_cli.training.loading  # noqa: F401
    from vae_cli.config.compose import session

    with session():  # hydra looks for plugins
        pass
gc.freeze()  # else each worker walks through, and thereby copies, what the libraries made
