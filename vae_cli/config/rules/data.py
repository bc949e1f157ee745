"""Rules about data: the support of a likelihood, the layout that a network reads, and validation data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vae_cli.config.view import ConfigView, Refusal, stating


def likelihood_support(view: ConfigView) -> Refusal | None:
    """A likelihood is a density or a mass function on certain domains only; the classes state both."""
    domain, support = view.domain(), view.constant("likelihood", "support")
    if domain is None or support is None or domain in support:
        return None
    return unsupported(view, domain, support)


def unsupported(view: ConfigView, domain: str, support: Sequence[str]) -> Refusal:
    """The refusal of data of a domain outside the support of the likelihood."""
    binarize = view.argument("dataset.binarize")
    ways = [stating("likelihood", "support", lambda other: domain in other)]
    if domain == "binary" and binarize not in (None, "none"):
        ways.append("dataset.binarize=none")
    elif "binary" in support and binarize is not None and domain != "real":
        ways.append("dataset.binarize=dynamic")
    elif view.argument("dataset.domain"):
        ways.append(f"dataset.domain={'|'.join(support)} if x lies there")
    elif "binary" in support:
        if probabilities := _datasets(view, "domain", lambda other: other in ("unit", "levels")):
            ways.append(f"{probabilities} with dataset.binarize=dynamic")
    else:
        ways.append(_datasets(view, "domain", lambda other: other in support))
    state = f", binarize={binarize}" if binarize is not None else ""
    return Refusal(
        "likelihood",
        f"{view.name('likelihood')} scores {' or '.join(support)} data, "
        f"{view.name('dataset')} gives {domain} data{state}",
        tuple(ways),
    )


def network_layout(view: ConfigView) -> Refusal | None:
    """A network whose layouts do not contain that of the data, such as convolutions for vectors."""
    layout, layouts = view.constant("dataset", "layout"), view.constant("network", "layouts")
    if layout is None or layouts is None or layout in layouts:
        return None
    networks = stating("network", "layouts", lambda other: layout in other)
    datasets = _datasets(view, "layout", lambda other: other in layouts)
    return Refusal(
        "network",
        f"{view.name('network')} reads {' or '.join(layouts)} data, {view.name('dataset')} gives {layout} data",
        (networks, datasets),
    )


def _datasets(view: ConfigView, constant: str, fits: Callable[[Any], bool]) -> str:
    """The data sets whose class constant fits; none for a user's own files, which no data set replaces."""
    return "" if view.argument("dataset.path") else stating("dataset", constant, fits)


def binarize_domain(view: ConfigView) -> Refusal | None:
    """A Bernoulli draw or a threshold at 1/2 needs x in [0, 1]."""
    key = "dataset.binarize"
    if view.binarize() == "none" or view.stored() != "real":
        return None
    return Refusal(
        key,
        f"{key}={view.binarize()} ({view.where(key)}) needs x in [0, 1], {view.name('dataset')} gives real data",
        (
            f"{key}=none {stating('likelihood', 'support', lambda other: 'real' in other)}",
            "dataset.domain=unit|levels if x lies there",
        ),
    )


def standardise_domain(view: ConfigView) -> Refusal | None:
    """Only real data have arbitrary units."""
    key = "dataset.standardise"
    if view.argument(key) is not True or view.stored() == "real":
        return None
    return Refusal(
        key,
        f"{key}=true ({view.where(key)}) scales real data, {view.name('dataset')} gives {view.stored()} data",
        (f"{key}=false",),
    )


def validation_split(view: ConfigView) -> Refusal | None:
    """Early stopping and an evaluation on validation data need validation data."""
    if view.argument("dataset.val_size") != 0:
        return None
    needs = {
        "trainer.patience=null": view.config.trainer.patience is not None,
        "evaluate.split=test": view.config.evaluate.split == "val",
    }
    if not (instead := [way for way, asked in needs.items() if asked]):
        return None
    key, size = instead[0].partition("=")[0], view.where("dataset.val_size")
    return Refusal(
        key,
        f"{key} ({view.where(key)}) needs validation data, dataset.val_size is 0 ({size})",
        ("dataset.val_size=0.1", " ".join(instead)),
    )


def pooled_validation(view: ConfigView) -> Refusal | None:
    """Pooled data are all training data."""
    key, size = "dataset.pooled", view.argument("dataset.val_size")
    if not view.argument(key) or size == 0:
        return None
    return Refusal(
        key,
        f"{key}=true ({view.where(key)}) trains on every image, dataset.val_size={size} "
        f"({view.where('dataset.val_size')}) holds some back",
        ("dataset.val_size=0",),
    )
