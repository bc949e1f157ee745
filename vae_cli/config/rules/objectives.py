"""Rules about objectives: weights, annealing, selection."""

from __future__ import annotations

from vae_cli.config.view import ConfigView, Refusal, providing, stating


def divergence_weight(view: ConfigView) -> Refusal | None:
    """A negative weight of the divergence drives q(z) away from p(z)."""
    if "alpha_lambda" not in view.provides("objective"):
        return None
    alpha, lambda_ = (view.argument(f"objective.{name}") for name in ("alpha", "lambda_"))
    if alpha + lambda_ >= 1:
        return None
    return Refusal(
        "objective.lambda_",
        f"objective.alpha={alpha} and objective.lambda_={lambda_} ({view.where('objective.lambda_')}) give the "
        f"divergence the weight alpha + lambda_ - 1 = {alpha + lambda_ - 1:g}, which rewards a q(z) far from p(z)",
        (f"objective.lambda_={1 - alpha:g} or more",),
    )


def rate_weight(view: ConfigView) -> Refusal | None:
    """A negative weight of the rate drives each q(z|x) away from p(z) without bound."""
    key = "objective.alpha"
    if "alpha_lambda" not in view.provides("objective") or (alpha := view.argument(key)) <= 1:
        return None
    return Refusal(
        key,
        f"{key}={alpha} ({view.where(key)}) gives the rate the weight 1 - alpha = {1 - alpha:g}, "
        "which rewards a q(z|x) far from p(z)",
        (f"{key}=1 or less",),
    )


def rate_density(view: ConfigView) -> Refusal | None:
    """InfoVAE needs log q(z|x) unless alpha = 1."""
    key = "objective.alpha"
    if "alpha_lambda" not in view.provides("objective") or (alpha := view.argument(key)) == 1:
        return None
    if "density" in view.provides("posterior"):
        return None
    return Refusal(
        key,
        f"{key}={alpha} ({view.where(key)}) weighs the rate, which needs the density q(z|x); "
        f"{view.name('posterior')} has none",
        (f"{key}=1", providing("posterior", "density")),
    )


def annealing_weights(view: ConfigView) -> Refusal | None:
    """The annealed weights are weights of the objective."""
    key = "annealing.weights"
    if view.config.annealing is None:
        return None
    has = view.constant("objective", "anneals", ())
    weights = set(view.argument(key) or [])
    if not has:
        objectives = stating("objective", "anneals", lambda other: bool(other) and weights <= set(other))
        problem = f"{view.name('objective')} has no weight to anneal"
        return Refusal("annealing", problem, (objectives, "annealing=none"))
    unknown = sorted(weights - set(has))
    if not unknown:
        return None
    return Refusal(
        key,
        f"{key}: {unknown[0]} is not a weight of {view.name('objective')} ({view.where(key)}); it has {', '.join(has)}",
        (f"{key}=null for all",),
    )


def patience_selection(view: ConfigView) -> Refusal | None:
    """Early stopping compares epochs by a bound or a distortion; an adversarial objective optimises neither."""
    key = "trainer.patience"
    if view.config.trainer.patience is None or "selection" in view.provides("objective"):
        return None
    return Refusal(
        key,
        f"{key} ({view.where(key)}) waits for a better bound, {view.name('objective')} optimises none",
        (f"{key}=null", providing("objective", "selection")),
    )
