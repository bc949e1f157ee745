"""Capabilities: the words in which the classes of the configuration state what they provide and what they require."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import ClassVar

CAPABILITIES: dict[str, str] = {
    "alpha_lambda": "the weights alpha and lambda_",
    "categories": "categorical latents",
    "codes": "codes of a codebook",
    "compares_x": "a comparison of samples of x",
    "compares_z": "a comparison of samples of z",
    "continuous": "a continuous z",
    "density": "a density q(z|x)",
    "divergence": "a term with a divergence",
    "elbo": "the ELBO itself",
    "encoder": "an encoder for any x",
    "entropy": "an entropy of q(z|x) in closed form",
    "ex_post": "a fit to the codes after training",
    "expectation": "a loss of exact expectations over q(z|x)",
    "factorised": "a q(z|x) that factorises over dimensions",
    "features": "features of x",
    "inference": "inference of z from x",
    "joint": "a p(z) during training",
    "layers": "several layers of latents",
    "learned": "learned parameters",
    "mirrored": "hidden layers that the decoder mirrors",
    "mixture": "a learned mixture",
    "per_example": "parameters for each training example",
    "rate": "a rate",
    "refinable": "a Gaussian q(z|x) with free moments",
    "selection": "a bound or a distortion by which epochs are compared",
    "separate": "training without the rest of the model",
    "single_layer": "a single layer of latents",
    "spatial": "latents with positions",
    "whole_batch": "whole batches on one device",
}
"""Each word, and its words in a message: `objective ELBO needs a density q(z|x)`."""

GROUPS = (
    "model",
    "network",
    "codebook",
    "refinement",
    "posterior",
    "prior",
    "divergence",
    "objective",
    "second_stage",
    "trainer",
)
"""Groups of the configuration that a class can require something of."""


class Capable:
    """A class with capabilities; a subclass inherits both tuples or states them in full, as literals.

    provides: words of CAPABILITIES.
    requires: by group, the words that its class must provide; () requires that an optional group is chosen.
    """

    provides: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if fault := unknown_word(cls.provides, cls.requires):
            raise TypeError(f"class {cls.__name__}: {fault}")


def unknown_word(provides: tuple[str, ...], requires: Mapping[str, tuple[str, ...]]) -> str | None:
    """A sentence about the first word or group that does not exist, and the nearest one; None if all exist."""
    words = [*provides, *(word for needed in requires.values() for word in needed)]
    for kind, names, known in (("capability", words, [*CAPABILITIES]), ("group", [*requires], [*GROUPS])):
        for name in names:
            if name not in known:
                nearest = get_close_matches(name, known, 1, 0) or known[:1]
                return f"{name!r} is not a {kind}; nearest: {nearest[0]!r}"
    return None
