"""Rules about the arguments of torch's optimisers, which torch itself checks only once it is imported."""

from __future__ import annotations

from vae_cli.facts import Facts

AT_LEAST_0 = ("lr", "eps", "weight_decay", "momentum", "lr_decay", "initial_accumulator_value", "lambd")
BELOW_1 = ("betas", "alpha", "rho")
"""From 0 to below 1, or a list of such numbers."""


def optimizer_is_in_range(facts: Facts) -> str | None:
    """Rates, decays and momenta lie where torch takes them."""
    node = facts.config["optimizer"]
    if not str(node["_target_"]).startswith("torch.optim."):
        return None
    for name in (*AT_LEAST_0, *BELOW_1):
        value = node.get(name)
        numbers = value if isinstance(value, list) else [value]
        most = 1 if name in BELOW_1 else float("inf")
        if any(isinstance(number, int | float) and not 0 <= number < most for number in numbers):
            expected = f"expected {'numbers' if isinstance(value, list) else 'a number'} >= 0{' and < 1' * (most == 1)}"
            return f"optimizer.{name}={value}: {expected} ({facts.where(f'optimizer.{name}')})"
    if node.get("nesterov") and (not node.get("momentum") or node.get("dampening")):
        where = facts.where("optimizer.nesterov")
        return f"optimizer.nesterov=true ({where}) needs momentum and no dampening; take optimizer.nesterov=false"
    return None
