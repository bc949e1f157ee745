"""A configuration as containers and primitives, its interpolations resolved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue, OmegaConfBaseException

from vae_cli.errors import first_line


def resolved(node: DictConfig, fail: Callable[..., NoReturn], prefix: str = "") -> dict[str, Any]:
    """The mapping without hydra's own node; `fail` is called with a key, the problem, the remedy and the value."""
    result = {}
    for name in node:
        key = f"{prefix}{name}"
        if key == "hydra":
            continue
        try:
            value = node[name]
            if isinstance(value, ListConfig):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except MissingMandatoryValue:
            fail(key, "needs a value", f"set {key}=...")
        except InterpolationKeyError as error:
            text = OmegaConf.to_container(node, resolve=False)[name]  # pyright: ignore
            fail(key, first_line(error), "an interpolation names another key, as in ${seed}", text)
        except OmegaConfBaseException as error:
            fail(key, first_line(error))
        result[str(name)] = resolved(value, fail, f"{key}.") if isinstance(value, DictConfig) else value
    return result


def leaves(value: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of all values that are no mappings."""
    keys: list[str] = []
    for name, item in value.items():
        keys += leaves(item, f"{prefix}{name}.") if isinstance(item, dict) else [f"{prefix}{name}"]
    return keys
