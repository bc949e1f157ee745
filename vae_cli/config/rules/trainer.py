"""Rules about devices and precision."""

from __future__ import annotations

from vae_cli.config.view import ConfigView, Refusal, options
from vae_cli.errors import counted


def whole_batch(view: ConfigView) -> Refusal | None:
    """Each process gets a part of a batch; some classes require the whole."""
    key, devices, nodes = "trainer.devices", view.config.trainer.devices, view.config.trainer.num_nodes
    processes = nodes * (len(devices) if isinstance(devices, list) else devices)
    if processes == 1:
        return None
    asked = f"{key}={devices} with trainer.num_nodes={nodes} ({view.where(key)}) divides each batch"
    for group in ("objective", "posterior"):  # an objective of the user's own may require it
        if "trainer" in view.requires(group):
            others = options(group, lambda other: other is None or "trainer" not in other.requires)
            one_device = f"{key}=1{' trainer.num_nodes=1' * (nodes > 1)}"
            return Refusal(key, f"{asked}, {view.name(group)} needs whole batches", (one_device, others))
    size = view.argument("dataset.batch_size")
    if size < processes:
        larger = (f"dataset.batch_size={processes} or more",)
        return Refusal("dataset.batch_size", f"{asked}, which has {counted(size, 'example')}", larger)
    return None


def half_precision(view: ConfigView) -> Refusal | None:
    """float16 needs a GPU."""
    trainer, key = view.config.trainer, "trainer.precision"
    if trainer.precision != "16-mixed" or trainer.accelerator != "cpu":
        return None
    ways = (f"{key}=bf16-mixed", "trainer=gpu")
    return Refusal(key, f"{key}=16-mixed ({view.where(key)}) needs a GPU", ways)


def fused_clipping(view: ConfigView) -> Refusal | None:
    """Gradients of a fused optimiser cannot be clipped under mixed precision."""
    trainer, key = view.config.trainer, "trainer.precision"
    clips = trainer.precision != "32-true" and trainer.gradient_clip_val
    if not clips or not view.argument("optimizer.fused"):
        return None
    return Refusal(
        key,
        f"{key}={trainer.precision} ({view.where(key)}) with trainer.gradient_clip_val needs an optimizer that is "
        "not fused",
        ("optimizer.fused=false", f"{key}=32-true"),
    )
