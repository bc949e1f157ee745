"""The first lines of a training: what the configuration knows, before torch is imported, then what is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vae_cli.config.schema import Node, TrainConfig, TrainerConfig
from vae_cli.distributed.terminal import say
from vae_cli.errors import counted
from vae_cli.runs.folder import RunFolder
from vae_cli.runs.status import Start

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.training.lightning_module import LatentModelModule


def show_configuration(config: TrainConfig, run: RunFolder, choices: Mapping[str, str], job: str | None) -> None:
    """Print the run's folder, model, likelihood and objective.

    Args:
        choices: options of groups, where they are known
        job: number of the job in its sweep
    """
    option = {group: choices.get(group) or node.name for group, node in vars(config).items() if isinstance(node, Node)}
    layers = config.model.arguments.get("below", ())
    latents = " + ".join(map(str, (*layers, config.model.arguments["latent_dim"])))
    parts = [f"{group} {option[group]}" for group in ("network", "codebook", "posterior", "prior") if group in option]
    weights = [f"{k}={v:g}" for k, v in config.objective.arguments.items() if type(v) in (int, float) and v]
    epochs, rate = config.trainer.max_epochs, f"lr {config.optimizer.arguments.get('lr')}"
    steps = [counted(epochs, "epoch"), option["optimizer"], rate]
    if job:
        _show("job", job)
    _show("run", run)
    _show("data", ", ".join(map(str, (option["dataset"], *filter(None, [config.dataset.arguments.get("path")])))))
    _show("model", ", ".join([option["model"], f"{latents} {'latent' if latents == '1' else 'latents'}", *parts]))
    _show("likelihood", option["likelihood"])
    _show("objective", ", ".join([option["objective"], *weights, *steps, f"seed {config.seed}"]))


def show_data(data: Data) -> None:
    """Print the types of a table's columns, the sizes of the splits, the shape of an example and its domain."""
    if data.columns:
        from vae_cli.datasets.columns import summary  # its package imports torch

        _show("columns", f"{', '.join(summary(data.columns))}; dataset.types.TYPE=[NAMES] states others")
    sizes = [f"{len(getattr(data, split)):,} {split}" for split in ("train", "val", "test")]
    _show("examples", f"{', '.join(sizes)}; {_shape(data.event_shape)}, {data.domain}")


def show_machine(module: LatentModelModule, settings: TrainerConfig, start: Start) -> None:
    """Print the size of the model and the machine that trains it."""
    parameters = sum(one.numel() for one in module.model.parameters())
    _show("parameters", f"{parameters:,}")
    parts = [start.gpu or "CPU", settings.precision, *["compiled"] * bool(settings.compile)]
    parts += [f"{start.processes} processes"] * (start.processes not in (None, 1))
    _show("device", ", ".join([*parts, counted(start.threads or 1, "thread")]))


def _show(label: str, value: object) -> None:
    say(f"{label:<10}  {value}")


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))
