"""Imported by the server that commands are forked from: what every one of them would read again."""

from tests.support.configs import composed

composed("dataset=digits")
