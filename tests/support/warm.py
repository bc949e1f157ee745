"""Imported by the server that commands are forked from: what every one of them would read again."""

from tests.support import quick_composition
from tests.support.configs import composed

quick_composition.install()
composed("dataset=digits")
