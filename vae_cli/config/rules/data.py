"""Rules about data: what a likelihood scores, a network reads, and what is held back."""

from __future__ import annotations

from collections.abc import Sequence

from vae_cli.config.facts import ConfigView, options


def scores_domain(facts: ConfigView) -> str | None:
    """A likelihood is a density or a mass function on certain domains only; before loading, as the classes say."""
    domain, scores = facts.domain(), facts.constant("likelihood", "support")
    if domain is None or scores is None or domain in scores:
        return None
    return unscored(facts, domain, scores)


def unscored(facts: ConfigView, domain: str, scores: Sequence[str]) -> str:
    """What to do about data of a domain that the likelihood does not score."""
    dataset = facts.config["dataset"]
    binarize = dataset.get("binarize")
    ways = [options("likelihood", "support", lambda other: other is not None and domain in other)]
    if domain == "binary" and binarize not in (None, "none"):
        ways.append("dataset.binarize=none")
    elif "binary" in scores and binarize is not None and domain != "real":
        ways.append("dataset.binarize=dynamic")
    elif dataset.get("domain"):
        ways.append(f"dataset.domain={'|'.join(scores)} if x lies there")
    elif "binary" in scores:
        probabilities = options("dataset", "domain", lambda other: other in ("unit", "levels"))
        ways.append(f"{probabilities} with dataset.binarize=dynamic")
    else:
        ways.append(options("dataset", "domain", lambda other: other in scores))
    state = f", binarize={binarize}" if binarize is not None else ""
    return (
        f"{facts.name('likelihood')} scores {' or '.join(scores)} data, "
        f"{facts.name('dataset')} gives {domain} data{state}; take {' or '.join(ways)}"
    )


def reads_layout(facts: ConfigView) -> str | None:
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


def binarises_probabilities(facts: ConfigView) -> str | None:
    """A Bernoulli draw or a threshold at 1/2 needs x in [0, 1]."""
    if facts.binarize() == "none" or facts.stored() != "real":
        return None
    return (
        f"dataset.binarize={facts.binarize()} ({facts.where('dataset.binarize')}) needs x in [0, 1], "
        f"{facts.name('dataset')} gives real data; take dataset.binarize=none or dataset.domain=unit|levels"
    )


def standardises_real(facts: ConfigView) -> str | None:
    """Only real numbers have units that are free to choose."""
    if facts.config["dataset"].get("standardise") is not True or facts.stored() == "real":
        return None
    return (
        f"dataset.standardise=true ({facts.where('dataset.standardise')}) scales real data, "
        f"{facts.name('dataset')} gives {facts.stored()} data; take dataset.standardise=false"
    )


def validates(facts: ConfigView) -> str | None:
    """Early stopping, and an evaluation of validation data, need validation data."""
    if facts.config["dataset"].get("val_size") != 0:
        return None
    needs = {
        "trainer.patience=null": facts.config["trainer"]["patience"] is not None,
        "evaluate.split=test": facts.config["evaluate"]["split"] == "val",
    }
    if not (instead := [way for way, asked in needs.items() if asked]):
        return None
    key, size = instead[0].partition("=")[0], facts.where("dataset.val_size")
    return (
        f"{key} ({facts.where(key)}) needs validation data, dataset.val_size is 0 ({size}); "
        f"take dataset.val_size=0.1 or {' '.join(instead)}"
    )


def pooled_has_no_validation(facts: ConfigView) -> str | None:
    """Pooled data are all used for training."""
    dataset = facts.config["dataset"]
    if not dataset.get("pooled") or dataset["val_size"] == 0:
        return None
    return (
        f"dataset.pooled=true ({facts.where('dataset.pooled')}) trains on every image, dataset.val_size="
        f"{dataset['val_size']} ({facts.where('dataset.val_size')}) holds some back; take dataset.val_size=0"
    )
