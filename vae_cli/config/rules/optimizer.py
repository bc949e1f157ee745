"""Rules about optimisers: ranges that torch checks only when training begins."""

from __future__ import annotations

from vae_cli.config.view import ConfigView, Refusal

NOT_NEGATIVE = {"lr": 1e-3, "weight_decay": 0.0, "momentum": 0.9, "lr_decay": 0.0, "lambd": 1e-4}
NOT_NEGATIVE |= {"initial_accumulator_value": 0.0}
"""Numbers of torch's optimisers that are 0 or more, each with a usual value."""
POSITIVE = {"eps": 1e-8}
"""Numbers above 0: without eps, the step of a parameter whose gradients have been 0 is 0 / 0."""
BELOW_ONE = {"alpha": 0.99, "rho": 0.9}
"""Numbers that must be below 1 as well."""


def optimizer_range(view: ConfigView) -> Refusal | None:
    """Torch's signatures state no ranges."""
    signature = view.signature("optimizer")
    if signature is None or not signature.foreign:
        return None
    for name, usual in (NOT_NEGATIVE | POSITIVE | BELOW_ONE).items():
        value, above, below = view.argument(f"optimizer.{name}"), name in POSITIVE, name in BELOW_ONE
        if isinstance(value, int | float) and (value < 0 or (above and value == 0) or (below and value >= 1)):
            least = f"{'>' if above else '>='} 0{' and < 1' * below}"
            expected = f"expected a number {least} ({view.where(f'optimizer.{name}')})"
            key = f"optimizer.{name}"
            return Refusal(key, f"{key}={value}: {expected}", (f"{key}={usual:g}",))
    betas = view.argument("optimizer.betas") or []
    if any(not 0 <= beta < 1 for beta in betas):
        key = "optimizer.betas"
        problem = f"{key}={betas}: expected numbers >= 0 and < 1 ({view.where(key)})"
        return Refusal(key, problem, (f"{key}=[0.9,0.999]",))
    return None


def nesterov_momentum(view: ConfigView) -> Refusal | None:
    """Nesterov's step evaluates the gradient after a step of the momentum."""
    damped = view.argument("optimizer.dampening")
    if not view.argument("optimizer.nesterov") or (view.argument("optimizer.momentum") and not damped):
        return None
    undamped = " optimizer.dampening=0" if damped else ""
    return Refusal(
        "optimizer.nesterov",
        f"optimizer.nesterov=true ({view.where('optimizer.nesterov')}) needs a momentum above 0 and no dampening",
        (f"optimizer.momentum=0.9{undamped}", "optimizer.nesterov=false"),
    )
