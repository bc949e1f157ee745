"""What configurations share if their validation numbers can be compared. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vae_cli.config import signatures
from vae_cli.config.schema import setting_of


def data(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that choose x and its examples, by their keys; `config` is flat."""
    names = (name for name in config if name.startswith("dataset."))
    return {name: config[name] for name in names if setting_of(name).selects_data}


def measure(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a validation number is, and over how many examples, by the keys that say it; `config` is flat."""
    discrete, bound = _constant(config, "likelihood", "discrete"), _constant(config, "posterior", "has_density")
    limit = config.get("trainer.limit_batches")
    return {
        "likelihood._target_": {True: "a probability", False: "a density"}.get(discrete),
        "posterior._target_": {True: "an ELBO", False: "a distortion"}.get(bound),
        "trainer.limit_batches": limit,
        "evaluate.batch_size": config.get("evaluate.batch_size") if limit else None,
    }


def evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the evaluation after training that its numbers depend on, by their keys; `config` is flat."""
    names = (name for name in config if name.startswith("evaluate."))
    return {name: config[name] for name in names if setting_of(name).distinguishes}


def _constant(config: Mapping[str, Any], group: str, name: str) -> Any:
    """A class constant of the class that a group names; None where there is none, or the class is not here."""
    try:
        return signatures.read(str(config.get(f"{group}._target_"))).constants.get(name)
    except LookupError:
        return None


def written(value: Any) -> str:
    """A value such that equal ones are the same.

    >>> written([1, 0.5]) == written([1.0, 0.5]), written(1) == written(True), written("1") == written(1)
    (True, False, False)
    """
    if isinstance(value, list):
        return str([written(one) for one in value])
    return repr(float(value)) if type(value) is int else repr(value)


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings by dotted names.

    >>> dict(flat({"a": {"b": 1, "c": [2, 3]}, "d": None}))
    {'a.b': 1, 'a.c': [2, 3], 'd': None}
    """
    if isinstance(node, dict):
        for name, value in node.items():
            yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, node
