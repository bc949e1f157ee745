"""Imported by the server that commands are forked from: what every one of them would read again."""

import gc

from tests.support import quick_composition, unsynced
from tests.support.configs import composed, unchecked
from vae_cli.evaluation import keys
from vae_cli.runs.results import installed_packages

quick_composition.install()
unsynced.install()
composed("dataset=digits")
for more in ([], ["logger=csv"], ["logger=none"], ["logger=csv", "model=vade", "initialisation=gmm"]):
    unchecked("dataset=digits", *more)
keys.find("of no number")  # compiles the pattern of each
installed_packages()
gc.collect()
gc.freeze()  # else each fork walks through, and thereby copies, what the libraries made
