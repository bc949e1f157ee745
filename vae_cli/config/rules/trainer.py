"""Rules about processes and precision."""

from __future__ import annotations

from vae_cli.config.facts import ConfigView, options


def shares_batches(facts: ConfigView) -> str | None:
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


def half_precision_has_a_gpu(facts: ConfigView) -> str | None:
    """float16 needs a GPU."""
    trainer = facts.config["trainer"]
    if trainer["precision"] != "16-mixed" or trainer["accelerator"] != "cpu":
        return None
    place = facts.where("trainer.precision")
    return f"trainer.precision=16-mixed ({place}) needs a GPU; take trainer.precision=bf16-mixed or trainer=gpu"


def mixed_precision_clips(facts: ConfigView) -> str | None:
    """A fused optimiser hides its gradients from clipping under mixed precision."""
    trainer, optimizer = facts.config["trainer"], facts.config["optimizer"]
    precision, place = trainer["precision"], facts.where("trainer.precision")
    if precision != "32-true" and trainer["gradient_clip_val"] and optimizer.get("fused"):
        return (
            f"trainer.precision={precision} ({place}) with trainer.gradient_clip_val needs an optimizer that is not "
            "fused; take optimizer.fused=false or trainer.precision=32-true"
        )
    return None
