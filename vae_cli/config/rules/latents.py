"""Rules about latents: their posterior, their prior, and what both are made of."""

from __future__ import annotations

from vae_cli.config.facts import ConfigView, options
from vae_cli.errors import ConfigError
from vae_cli.models.graphs import generation_graph, inference_graph


def prior_in_time(facts: ConfigView) -> str | None:
    """A posterior with a density has a bound, and validation needs the prior for it."""
    if not facts.constant("posterior", "has_density", True) or not facts.constant("prior", "fitted_after"):
        return None
    priors = options("prior", "fitted_after", lambda other: not other)
    posteriors = options("posterior", "has_density", lambda other: other is False)
    return (
        f"{facts.name('posterior')} has a bound, which needs the prior while training, "
        f"{facts.name('prior')} is fitted afterwards; take {priors} or {posteriors}"
    )


def codes_meet_codes(facts: ConfigView) -> str | None:
    """Codes of a codebook come from a posterior, are learned by an objective and described by a prior: all or none."""
    groups = ("posterior", "objective", "prior")
    having = [group for group in groups if facts.constant(group, "has_codes")]
    lacking = [group for group in groups if group not in having]
    if not having or not lacking:
        return None
    with_codes = " ".join(options(group, "has_codes", bool) for group in lacking)
    without = " ".join(options(group, "has_codes", lambda other: not other) for group in having)
    return f"{facts.name(having[0])} is of codes, {facts.name(lacking[0])} is not; take {with_codes} or {without}"


def unseen_are_refined(facts: ConfigView) -> str | None:
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


def rows_ascend_the_objective(facts: ConfigView) -> str | None:
    """Rows that take steps of their own take them up the ELBO, and so they are the objective's for the ELBO alone."""
    steps = (facts.config.get("refinement") or {}).get("train_steps")
    if not steps or not facts.constant("posterior", "needs_refinement"):
        return None
    objective, floors = facts.config["objective"], facts.config["objective"].get("free_bits")
    plain = objective.get("beta") == 1 and not any(floors if isinstance(floors, list) else [floors])
    annealed = facts.config.get("annealing") is not None
    if objective["_target_"].endswith(".ELBO") and plain and not annealed:
        return None
    return (
        f"refinement.train_steps={steps} ({facts.where('refinement.train_steps')}) moves the rows of "
        f"{facts.name('posterior')} up the ELBO alone, {facts.name('objective')} with its weights is another; "
        f"take refinement.train_steps=0, or objective=elbo{' annealing=none' * annealed} as it is"
    )


def gaps_are_of_bounds(facts: ConfigView) -> str | None:
    """Inference gaps are between bounds, of a continuous q(z|x) that can be refined."""
    if not facts.config["evaluate"].get("gaps") or facts.constant("posterior", "refinable"):
        return None
    posteriors = options("posterior", "refinable", bool)
    return (
        f"evaluate.gaps ({facts.where('evaluate.gaps')}) compares a q(z|x) with the best Gaussian, "
        f"{facts.name('posterior')} is none; take {posteriors} or evaluate=standard"
    )


def graphs_have_parents(facts: ConfigView) -> str | None:
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
    layers = "one layer" if count == 1 else f"{count} layers"
    one, each = max(floors, default=0), ",".join(["0.1"] * count)
    return (
        f"objective.free_bits={floors}: the model has {layers} of latents ({place}); "
        f"take objective.free_bits={one} or one number for each, as in objective.free_bits=[{each}]"
    )


def prior_is_trained(facts: ConfigView) -> str | None:
    """A prior learns through the rate alone."""
    objective = facts.config["objective"]
    weighed = facts.constant("objective", "needs_density", True)
    if "lambda_" in objective:
        weighed = objective["alpha"] != 1
    if weighed or facts.config.get("second_stage") or not facts.constant("prior", "learned"):
        return None
    objectives = options("objective", "needs_density", bool)
    return (
        f"{facts.name('prior')} learns through the rate, which {facts.name('objective')} does not weigh; "
        f"take {options('prior', 'learned', lambda other: not other)} or {objectives}"
    )
