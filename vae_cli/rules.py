"""Combinations that cannot run: each rule is a function of the facts and returns one line, or None."""

from __future__ import annotations

from vae_cli.errors import ConfigError
from vae_cli.facts import Facts, InUse, Need, Rule, options
from vae_cli.graphs import generation_graph, inference_graph

NEEDS = (
    Need("objective", "infers", "encodes x", "posterior", "infers", "has no encoder"),
    Need("posterior", "infers", "has a q(z|x)", "objective", "infers", "trains none"),
    Need("prior", "fitted_after", "is fitted to codes", "posterior", "infers", "has none"),
    Need("network", "has_sites", "gives a map of features", "posterior", "takes_sites", "mixes its sites"),
    Need("objective", "needs_density", "needs the density q(z|x)", "posterior", "has_density"),
    Need("objective", "needs_entropy", "needs the entropy of q(z|x)", "posterior", "has_entropy"),
    Need("initialisation", "needs_entropy", "trains with the entropy of q(z|x)", "posterior", "has_entropy"),
    Need("prior", "needs_density", "is made of densities q(z|u)", "posterior", "has_density"),
    *(
        Need(group, "needs_one_latent", "is for a single layer of latents", "posterior", "one_latent", "has several")
        for group in ("objective", "prior", "pretraining")
    ),
    Need("posterior", "layered", "is of several layers of latents", "model", "layered", "has one"),
    Need("model", "layered", "has layers of latents", "posterior", "layered", "has none"),
    Need("objective", "needs_mixture", "needs a prior with components to learn", "prior", "learns_mixture"),
    Need("initialisation", "needs_mixture", "needs a prior with components to learn", "prior", "learns_mixture"),
    Need("objective", "needs_factors", "needs a q(z|x) that factorises", "posterior", "factorises", "does not"),
    Need(
        "pretraining", "needs_continuous", "moves z by its gradient", "posterior", "is_continuous", "moves it in steps"
    ),
    Need("pretraining", "needs_encoder", "trains an encoder", "posterior", "encodes", "is without one"),
    Need("prior", "needs_encoder", "is made of encoded x", "posterior", "encodes", "is without an encoder"),
    Need("refinement", "needs_gaussian", "moves the moments of a Gaussian", "posterior", "refinable", "has others"),
    Need("posttraining", "needs_density", "needs the density q(z|x)", "posterior", "has_density"),
    Need("posttraining", "needs_alone", "lets the prior learn alone", "prior", "learns_alone", "does not"),
    Need("pretraining", "needs_stacked", "needs a stack of mirrored layers", "network", "stacked", "is none"),
)


def unseen_are_refined(facts: Facts) -> str | None:
    """A table has rows for training examples, each of one x; what it was not trained on is to be refined."""
    if not facts.constant("posterior", "needs_refinement"):
        return None
    others = options("posterior", "needs_refinement", lambda needed: not needed)
    if facts.config.get("refinement") is None:
        choices = options("refinement", "needs_gaussian", bool)
        return f"{facts.name('posterior')} has no q(z|x) of x that it was not trained on; take {choices} or {others}"
    if facts.binarize() == "dynamic":
        return (
            f"{facts.name('posterior')} has one q(z|x) for each example, dataset.binarize=dynamic "
            f"({facts.where('dataset.binarize')}) draws x anew at each visit; take dataset.binarize=static or {others}"
        )
    return None


def encodes_once(facts: Facts) -> str | None:
    """A refinement ends elsewhere each time."""
    if facts.config.get("refinement") is None or not facts.constant("objective", "encodes_again"):
        return None
    objectives = options("objective", "encodes_again", lambda again: not again)
    return (
        f"{facts.name('objective')} encodes x twice, {facts.name('refinement')} refines with other draws each time; "
        f"take {objectives} or refinement=none"
    )


def graphs_have_parents(facts: Facts) -> str | None:
    """The graphs of a hierarchy are graphs, and its layers have a floor each."""
    model, posterior = facts.config["model"], facts.config["posterior"]
    count = len(model.get("below", [])) + 1
    try:
        if "generation" in model:
            generation_graph("model.generation", model["generation"], count)
        if "parents" in posterior:
            inference_graph("posterior.parents", posterior["parents"], count)
    except ConfigError as error:
        return str(error)
    floors = facts.config["objective"].get("free_bits")
    if not isinstance(floors, list) or len(floors) == count:
        return None
    place = facts.where("objective.free_bits")
    return f"objective.free_bits={floors}: the model has {count} layers of latents ({place}); take one number for each"


def codes_meet_codes(facts: Facts) -> str | None:
    """Codes of a codebook come from a posterior, are learned by an objective and described by a prior: all or none."""
    groups = ("posterior", "objective", "prior")
    having = [group for group in groups if facts.constant(group, "has_codes")]
    lacking = [group for group in groups if group not in having]
    if not having or not lacking:
        return None
    first, second = having[0], lacking[0]
    ways = [
        options(second, "has_codes", bool),
        *(options(group, "has_codes", lambda other: not other) for group in having),
    ]
    return f"{facts.name(first)} is of codes, {facts.name(second)} is not; take {ways[0]} or {' '.join(ways[1:])}"


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


def prior_in_time(facts: Facts) -> str | None:
    """A posterior with a density has a bound, and validation needs the prior for it."""
    if not facts.constant("posterior", "has_density", True) or not facts.constant("prior", "fitted_after"):
        return None
    priors = options("prior", "fitted_after", lambda other: not other)
    posteriors = options("posterior", "has_density", lambda other: other is False)
    return (
        f"{facts.name('posterior')} has a bound, which needs the prior while training, "
        f"{facts.name('prior')} is fitted afterwards; take {priors} or {posteriors}"
    )


def divergence_is_not_rewarded(facts: Facts) -> str | None:
    """A negative weight would drive q(z) away from p(z)."""
    objective = facts.config["objective"]
    if "lambda_" not in objective:
        return None
    alpha, lambda_ = objective["alpha"], objective["lambda_"]
    if alpha + lambda_ >= 1:
        return None
    return (
        f"objective.alpha={alpha} and objective.lambda_={lambda_} ({facts.where('objective.lambda_')}) give the "
        f"divergence the weight alpha + lambda_ - 1 = {alpha + lambda_ - 1:g}, which rewards a q(z) far from p(z); "
        f"take objective.lambda_={1 - alpha:g} or more"
    )


def rate_has_density(facts: Facts) -> str | None:
    """InfoVAE needs log q(z|x) unless alpha = 1."""
    objective = facts.config["objective"]
    if "lambda_" not in objective or objective["alpha"] == 1:
        return None
    if facts.constant("posterior", "has_density", True):
        return None
    posteriors = options("posterior", "has_density", lambda other: other is True)
    return (
        f"objective.alpha={objective['alpha']} ({facts.where('objective.alpha')}) weighs the rate, which needs the "
        f"density q(z|x); {facts.name('posterior')} has none; take objective.alpha=1 or {posteriors}"
    )


def prior_is_trained(facts: Facts) -> str | None:
    """A prior learns through the rate alone."""
    objective = facts.config["objective"]
    weighed = facts.constant("objective", "needs_density", True)
    if "lambda_" in objective:
        weighed = objective["alpha"] != 1
    if weighed or not facts.constant("prior", "learned"):
        return None
    objectives = options("objective", "needs_density", bool)
    return (
        f"{facts.name('prior')} learns through the rate, which {facts.name('objective')} does not weigh; "
        f"take {options('prior', 'learned', lambda other: not other)} or {objectives}"
    )


def divergence_judges(facts: Facts) -> str | None:
    """Some objectives compare codes, others x; a critic is a network for one of them."""
    compared, judged = facts.constant("objective", "compares"), facts.constant("divergence", "judges", ())
    if compared is None or compared in judged:
        return None
    divergences = options("divergence", "judges", lambda others: others is not None and compared in others)
    objectives = options("objective", "compares", lambda other: other in judged)
    return (
        f"{facts.name('objective')} compares {compared}, {facts.name('divergence')} judges {' or '.join(judged)}; "
        f"take {divergences} or {objectives}"
    )


def waits_for_the_best(facts: Facts) -> str | None:
    """Early stopping ends at the best bound, which an adversarial objective does not optimise."""
    if facts.config["trainer"]["patience"] is None or facts.constant("objective", "selects", True):
        return None
    return (
        f"trainer.patience ({facts.where('trainer.patience')}) waits for a better bound, {facts.name('objective')} "
        f"optimises none; take trainer.patience=null or {options('objective', 'selects', bool)}"
    )


def anneals_weights(facts: Facts) -> str | None:
    """What is annealed are weights that the objective has."""
    annealing = facts.config.get("annealing")
    if annealing is None:
        return None
    has = facts.constant("objective", "anneals", ())
    if not has:
        objectives = options("objective", "anneals", bool)
        return f"{facts.name('objective')} has no weight to anneal; take {objectives} or annealing=none"
    unknown = [name for name in annealing.get("weights") or [] if name not in has]
    if not unknown:
        return None
    place = facts.where("annealing.weights")
    return f"annealing.weights: {unknown[0]} is none of {facts.name('objective')} ({place}); it has {', '.join(has)}"


def binarises_probabilities(facts: Facts) -> str | None:
    """A Bernoulli draw or a threshold at 1/2 needs x in [0, 1]."""
    if facts.binarize() == "none" or facts.stored() != "real":
        return None
    return (
        f"dataset.binarize={facts.binarize()} ({facts.where('dataset.binarize')}) needs x in [0, 1], "
        f"{facts.name('dataset')} gives real data; take dataset.binarize=none or dataset.domain=unit|levels"
    )


def validates(facts: Facts) -> str | None:
    """Early stopping, and an evaluation of validation data, need validation data."""
    if facts.config["dataset"].get("val_size") != 0:
        return None
    for key, asked, instead in (
        ("trainer.patience", facts.config["trainer"]["patience"] is not None, "trainer.patience=null"),
        ("evaluate.split", facts.config["evaluate"]["split"] == "val", "evaluate.split=test"),
    ):
        if asked:
            size = facts.where("dataset.val_size")
            return (
                f"{key} ({facts.where(key)}) needs validation data, dataset.val_size is 0 ({size}); "
                f"take dataset.val_size=1000 or {instead}"
            )
    return None


def pooled_has_no_validation(facts: Facts) -> str | None:
    """Pooled data are all used for training."""
    dataset = facts.config["dataset"]
    if not dataset.get("pooled") or dataset["val_size"] == 0:
        return None
    return (
        f"dataset.pooled=true ({facts.where('dataset.pooled')}) trains on every image, dataset.val_size="
        f"{dataset['val_size']} ({facts.where('dataset.val_size')}) holds some back; take dataset.val_size=0"
    )


def shares_batches(facts: Facts) -> str | None:
    """Several processes divide each batch, and some objectives need it whole."""
    trainer = facts.config["trainer"]
    devices, nodes = trainer["devices"], trainer.get("num_nodes", 1)
    processes = nodes * (len(devices) if isinstance(devices, list) else devices)
    if processes == 1:
        return None
    asked = f"trainer.devices={devices} with trainer.num_nodes={nodes} ({facts.where('trainer.devices')})"
    for group, why in (("objective", "compares its examples"), ("posterior", "keeps what it learns of them")):
        if facts.constant(group, "needs_whole_batch"):
            others = options(group, "needs_whole_batch", lambda needed: not needed)
            return f"{asked} divides each batch, {facts.name(group)} {why}; take one device or {others}"
    size = facts.config["dataset"]["batch_size"]
    if size < processes:
        return f"{asked} divides batches of dataset.batch_size={size}; take dataset.batch_size={processes} or more"
    return None


def precision_fits(facts: Facts) -> str | None:
    """float16 needs a GPU; a fused optimiser hides its gradients from clipping under mixed precision."""
    trainer, optimizer = facts.config["trainer"], facts.config["optimizer"]
    precision, place = trainer["precision"], facts.where("trainer.precision")
    if precision == "16-mixed" and trainer["accelerator"] == "cpu":
        return f"trainer.precision=16-mixed ({place}) needs a GPU; take trainer.precision=bf16-mixed or trainer=gpu"
    if precision != "32-true" and trainer["gradient_clip"] and optimizer.get("fused"):
        return (
            f"trainer.precision={precision} ({place}) with trainer.gradient_clip needs an optimizer that is not fused; "
            "take optimizer.fused=false or trainer.precision=32-true"
        )
    return None


codebook_in_use = InUse("codebook", "posterior", "has_codes", "needs a codebook", "is not used by")
divergence_in_use = InUse("divergence", "objective", "needs_divergence", "weighs a divergence", "is not in")
features_are_there = Need("objective", "needs_features", "compares features of x", "divergence", "has_features")

RULES: tuple[Rule, ...] = (
    scores_domain,
    reads_layout,
    prior_in_time,
    codes_meet_codes,
    codebook_in_use,
    *NEEDS,
    unseen_are_refined,
    encodes_once,
    graphs_have_parents,
    divergence_in_use,
    divergence_judges,
    features_are_there,
    divergence_is_not_rewarded,
    rate_has_density,
    prior_is_trained,
    anneals_weights,
    binarises_probabilities,
    validates,
    waits_for_the_best,
    pooled_has_no_validation,
    shares_batches,
    precision_fits,
)
