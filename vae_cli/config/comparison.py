"""Settings that configurations share if their validation numbers can be compared. Free of torch.

A flat configuration here is one that a run has saved, unchecked: it may lack any key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vae_cli.config import signatures
from vae_cli.config.settings import setting_of
from vae_cli.config.signatures import Signature


def data(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that choose x and its examples, by their keys; `config` is flat."""
    names = (name for name in config if name.startswith("dataset."))
    return {name: config[name] for name in names if setting_of(name).selects_data}


def measure(config: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of the validation number and its number of examples, by keys; `config` is flat."""
    likelihood, posterior = _signature(config, "likelihood"), _signature(config, "posterior")
    discrete = None if likelihood is None else likelihood.constants.get("discrete")
    bound = None if posterior is None else "density" in posterior.provides
    limit = config.get("trainer.limit_batches")
    return {
        "likelihood._target_": discrete if discrete is None else ("a density", "a probability")[discrete],
        "posterior._target_": bound if bound is None else ("a distortion", "an ELBO")[bound],
        "trainer.limit_batches": limit,
        "evaluate.batch_size": config.get("evaluate.batch_size") if limit else None,
    }


def evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the evaluation after training that its numbers depend on, by their keys; `config` is flat."""
    names = (name for name in config if name.startswith("evaluate."))
    return {name: config[name] for name in names if setting_of(name).distinguishes}


def _signature(config: Mapping[str, Any], group: str) -> Signature | None:
    """The signature of a group's class; None where the class cannot be read here."""
    try:
        return signatures.read(str(config.get(f"{group}._target_")))
    except LookupError:
        return None


def written(value: Any) -> str:
    """A text that is equal for equal values.

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
