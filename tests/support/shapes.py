"""Shapes of arguments and results, as jaxtyping annotations state them, checked while tests run."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import config, install_import_hook

CALLS = 200
"""Checks of a test; the steps of a long training repeat the shapes of the first, and checks are half of their time."""
CHECKED = ("batch", "distributions", "evaluation", "models", "objectives")

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an integer is a number where a float is annotated


_left = CALLS


def check(calls: int) -> None:
    """Make so many checks from now on."""
    global _left
    _left = calls
    config.update("jaxtyping_disable", calls == 0)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checked at the first calls of a test if it annotates a shape."""
    stated = " ".join(map(str, getattr(function, "__annotations__", {}).values()))
    if "[Tensor, " not in stated:
        return function
    checking = _checked(function)

    @wraps(function)
    def counted(*values: Any, **named: Any) -> Any:
        check(max(_left - 1, 0))
        return checking(*values, **named)

    return counted


def check_shapes() -> None:
    """Check the folders of CHECKED, if imported from now on; Lightning pickles methods of training/ by their names."""
    install_import_hook([f"vae_cli.{name}" for name in CHECKED], "tests.support.shapes.checked")
