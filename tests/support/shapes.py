"""Shapes of arguments and results, as jaxtyping annotations state them, checked while tests run."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

CHECKED = ("batch", "distributions", "evaluation", "models", "objectives")

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an integer is a number where a float is annotated


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checked at each call if it annotates a shape."""
    stated = " ".join(map(str, getattr(function, "__annotations__", {}).values()))
    return _checked(function) if "[Tensor, " in stated else function


def check_shapes() -> None:
    """Check the folders of CHECKED, if imported from now on; Lightning pickles methods of training/ by their names."""
    install_import_hook([f"vae_cli.{name}" for name in CHECKED], "tests.support.shapes.checked")
