"""Combinations that cannot run: each rule is a function of the facts and returns one line, or None."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vae_cli import signatures
from vae_cli.folders import Sources

Rule = Callable[["Facts"], str | None]


@dataclass(frozen=True)
class Facts:
    """A checked configuration as plain containers; `where` tells where a key is set."""

    config: dict[str, Any]
    where: Callable[[str], str]

    def constant(self, group: str, name: str, default: Any = None) -> Any:
        """A class constant of the class that a group's node names."""
        return signatures.read(self.config[group]["_target_"]).constants.get(name, default)

    def name(self, group: str) -> str:
        """A group's class and where it is chosen."""
        target = self.config[group]["_target_"]
        return f"{group} {target.rpartition('.')[2]} ({self.where(f'{group}._target_')})"

    def domain(self) -> str | None:
        """Where the entries of x live after binarisation."""
        dataset = self.config["dataset"]
        if dataset.get("binarize", "none") != "none":
            return "binary"
        return dataset.get("domain") or self.constant("dataset", "domain")


def options(group: str, constant: str, fits: Callable[[Any], bool]) -> str:
    """`group=a|b`: the options whose class has a fitting constant."""
    sources, found = Sources.find(), []
    for option in sources.options(group):
        file = sources.file(f"{group}/{option}")
        target = re.search(r"^_target_:\s*[\"']?([\w.]+)", file.read_text(encoding="utf-8"), re.M) if file else None
        try:
            if target and fits(signatures.read(target[1]).constants.get(constant)):
                found.append(option)
        except LookupError:
            continue  # an option that its own check refuses
    return f"{group}={'|'.join(found)}"


def scores_domain(facts: Facts) -> str | None:
    """A likelihood is a density or a mass function on certain domains only."""
    domain, scores = facts.domain(), facts.constant("likelihood", "scores")
    if domain is None or scores is None or domain in scores:
        return None
    binarize = facts.config["dataset"].get("binarize")
    ways = [options("likelihood", "scores", lambda other: other is not None and domain in other)]
    if domain == "binary":
        ways.append("dataset.binarize=none")
    elif "binary" in scores and binarize is not None:
        ways.append("dataset.binarize=dynamic")
    else:
        ways.append(options("dataset", "domain", lambda other: other in scores))
    state = f", binarize={binarize}" if binarize is not None else ""
    return (
        f"{facts.name('likelihood')} scores {' or '.join(scores)} data, "
        f"{facts.name('dataset')} gives {domain} data{state}; take {' or '.join(ways)}"
    )


def reads_layout(facts: Facts) -> str | None:
    """Convolutions need images."""
    layout, layouts = facts.constant("dataset", "layout"), facts.constant("network", "layouts")
    if layout is None or layouts is None or layout in layouts:
        return None
    networks = options("network", "layouts", lambda other: other is not None and layout in other)
    datasets = options("dataset", "layout", lambda other: other in layouts)
    return (
        f"{facts.name('network')} reads {' or '.join(layouts)} data, "
        f"{facts.name('dataset')} gives {layout} data; take {networks} or {datasets}"
    )


def has_density(facts: Facts) -> str | None:
    """A bound needs log q(z|x)."""
    if not facts.constant("objective", "needs_density") or facts.constant("posterior", "has_density", True):
        return None
    posteriors = options("posterior", "has_density", lambda other: other is True)
    objectives = options("objective", "needs_density", lambda other: other is False)
    return (
        f"{facts.name('objective')} needs the density q(z|x), "
        f"{facts.name('posterior')} has none; take {posteriors} or {objectives}"
    )


def prior_in_time(facts: Facts) -> str | None:
    """A prior fitted after training cannot be part of a training bound."""
    if not facts.constant("objective", "needs_density") or not facts.constant("prior", "fitted_after"):
        return None
    priors = options("prior", "fitted_after", lambda other: not other)
    objectives = options("objective", "needs_density", lambda other: other is False)
    return (
        f"{facts.name('objective')} needs the prior while training, "
        f"{facts.name('prior')} is fitted afterwards; take {priors} or {objectives}"
    )


RULES: tuple[Rule, ...] = (scores_domain, reads_layout, has_density, prior_in_time)
