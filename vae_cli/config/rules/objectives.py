"""Rules about objectives: what they compare and weigh."""

from __future__ import annotations

from vae_cli.config.facts import ConfigView, options


def divergence_is_not_rewarded(facts: ConfigView) -> str | None:
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


def rate_is_not_rewarded(facts: ConfigView) -> str | None:
    """A negative weight would drive each q(z|x) away from p(z), without an end."""
    objective = facts.config["objective"]
    if "lambda_" not in objective or objective["alpha"] <= 1:
        return None
    return (
        f"objective.alpha={objective['alpha']} ({facts.where('objective.alpha')}) gives the rate the weight "
        f"1 - alpha = {1 - objective['alpha']:g}, which rewards a q(z|x) far from p(z); take objective.alpha=1 or less"
    )


def rate_has_density(facts: ConfigView) -> str | None:
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


def divergence_judges(facts: ConfigView) -> str | None:
    """Some objectives compare codes, others x; a discriminator is a network for one of them."""
    compared, judged = facts.constant("objective", "compares"), facts.constant("divergence", "compares", ())
    if compared is None or compared in judged:
        return None
    divergences = options("divergence", "compares", lambda others: others is not None and compared in others)
    objectives = options("objective", "compares", lambda other: other in judged)
    return (
        f"{facts.name('objective')} compares {compared}, {facts.name('divergence')} judges {' or '.join(judged)}; "
        f"take {divergences} or {objectives}"
    )


def anneals_weights(facts: ConfigView) -> str | None:
    """What is annealed are weights that the objective has."""
    annealing = facts.config.get("annealing")
    if annealing is None:
        return None
    has = facts.constant("objective", "anneals", ())
    weights = set(annealing.get("weights") or [])
    if not has:
        objectives = options("objective", "anneals", lambda other: bool(other) and weights <= set(other or ()))
        return f"{facts.name('objective')} has no weight to anneal; take {objectives} or annealing=none"
    unknown = sorted(weights - set(has))
    if not unknown:
        return None
    return (
        f"annealing.weights: {unknown[0]} is none of {facts.name('objective')} ({facts.where('annealing.weights')}); "
        f"it has {', '.join(has)}; take annealing.weights=null for all"
    )


def waits_for_the_best(facts: ConfigView) -> str | None:
    """Early stopping ends at the best bound, which an adversarial objective does not optimise."""
    if facts.config["trainer"]["patience"] is None or facts.constant("objective", "selects", True):
        return None
    return (
        f"trainer.patience ({facts.where('trainer.patience')}) waits for a better bound, {facts.name('objective')} "
        f"optimises none; take trainer.patience=null or {options('objective', 'selects', bool)}"
    )
