"""Rules about optimisers: what torch would refuse only when training begins."""

from __future__ import annotations

from typing import Any

from vae_cli.config.facts import ConfigView

NOT_NEGATIVE = {"lr": 1e-3, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.9, "lr_decay": 0.0, "lambd": 1e-4}
NOT_NEGATIVE |= {"initial_accumulator_value": 0.0}
"""Numbers of torch's optimisers that are 0 or more, each with a usual value."""
BELOW_ONE = {"alpha": 0.99, "rho": 0.9}
"""Those that are below 1 as well."""


def optimizer_in_range(facts: ConfigView) -> str | None:
    """Torch's signatures state no ranges."""
    optimizer: dict[str, Any] = facts.config["optimizer"]
    if not optimizer["_target_"].startswith("torch.optim."):
        return None
    for name, usual in (NOT_NEGATIVE | BELOW_ONE).items():
        value, below = optimizer.get(name), name in BELOW_ONE
        if isinstance(value, int | float) and (value < 0 or (below and value >= 1)):
            expected = f"expected a number >= 0{' and < 1' * below} ({facts.where(f'optimizer.{name}')})"
            return f"optimizer.{name}={value}: {expected}; take optimizer.{name}={usual:g}"
    betas = optimizer.get("betas") or []
    if any(not 0 <= beta < 1 for beta in betas):
        place = facts.where("optimizer.betas")
        return f"optimizer.betas={betas}: expected numbers >= 0 and < 1 ({place}); take optimizer.betas=[0.9,0.999]"
    return None


def nesterov_has_momentum(facts: ConfigView) -> str | None:
    """Nesterov's step looks ahead along the momentum."""
    optimizer = facts.config["optimizer"]
    damped = optimizer.get("dampening", 0)
    if not optimizer.get("nesterov") or (optimizer.get("momentum", 0) and not damped):
        return None
    undamped = " optimizer.dampening=0" if damped else ""
    return (
        f"optimizer.nesterov=true ({facts.where('optimizer.nesterov')}) needs a momentum above 0 and no dampening; "
        f"take optimizer.momentum=0.9{undamped} or optimizer.nesterov=false"
    )
