"""The rule of capabilities: each class gets the words that it requires of the classes of other groups."""

from __future__ import annotations

from collections.abc import Iterator

from vae_cli.capabilities import CAPABILITIES
from vae_cli.config.signatures import Signature
from vae_cli.config.view import ConfigView, Refusal, options, providing


def capabilities(view: ConfigView) -> Refusal | None:
    """A class requires a word that the class of another group does not provide, or an optional group that is null."""
    return next(unmet(view), None)


def unmet(view: ConfigView) -> Iterator[Refusal]:
    """A refusal for each pair of groups the second of which does not provide all that the first requires."""
    for group in view.groups():
        for other, words in view.requires(group).items():
            if other == "trainer":  # has no class: the rule `whole_batch` counts its devices
                continue
            provided = view.provides(other)
            if view.signature(other) is not None and {*words} <= {*provided}:
                continue

            def fits(alternative: Signature | None, other: str = other) -> bool:
                needed = alternative.requires.get(other) if alternative else None
                return needed is None or (view.signature(other) is not None and {*needed} <= {*view.provides(other)})

            word = next((CAPABILITIES[word] for word in words if word not in provided), f"a {other.replace('_', ' ')}")
            problem = f"{view.name(group)} needs {word}, which {view.name(other)} does not provide"
            yield Refusal(f"{group}.{other}", problem, (providing(other, *words), options(group, fits)))
