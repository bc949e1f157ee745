"""Folders of runs as vae-train leaves them, written by hand."""

import csv
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

CONFIG: dict[str, Any] = {
    "format": 1,
    "seed": 0,
    "resume": None,
    "ckpt": None,
    "pretraining": None,
    "network": {"_target_": "vae_cli.models.networks.MLP", "hidden": [512, 512]},
    "prior": {"_target_": "vae_cli.models.priors.Normal"},
    "likelihood": {"_target_": "vae_cli.models.likelihoods.Bernoulli"},
    "objective": {"_target_": "vae_cli.objectives.ELBO", "beta": 1.0},
    "trainer": {"accelerator": "auto", "max_epochs": 3, "threads": None},
    "logger": {"name": "csv"},
    "evaluate": {"samples": 100, "seed": 0},
    "dataset": {"_target_": "vae_cli.datasets.MNIST", "batch_size": 128, "val_seed": 0, "root": None},
    "model": {"_target_": "vae_cli.models.model.LatentVariableModel", "latent_dim": 32},
}
RESULTS: dict[str, Any] = {
    "status": "done",
    "seed": 0,
    "train/epochs": 3,
    "test/elbo": -100.0,
    "test/elbo_se": 0.2,
    "test/distortion": 75.0,
    "test/rate": 25.0,
    "test/iw_log_likelihood": -97.0,
    "test/iw_samples": 100,
    "test/bits_per_dim": 0.178,
    "test/active_units": 10,
    "test/cluster_occupancy": [0.5, 0.5],
    "data/name": "mnist",
    "git/dirty": False,
}


def config(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with some of its dotted keys changed; a class alone replaces the whole node."""
    changed = deepcopy(CONFIG)
    for key, value in choices.items():
        node, _, leaf = key.rpartition(".")
        place = changed
        for part in filter(None, node.split(".")):
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[leaf] = value
    return changed


def epochs(validation: Sequence[float]) -> list[dict[str, float]]:
    """Rows of metrics.csv with these validation ELBOs."""
    return [
        {"epoch": n, "step": 10 * n, "train/elbo": v - 1, "val/elbo": v, "val/distortion": -v - 25, "val/rate": 25}
        for n, v in enumerate(validation, 1)
    ]


def write_run(
    folder: Path,
    choices: Mapping[str, Any] | None = None,
    *,
    results: Mapping[str, Any] | None = None,
    validation: Sequence[float] = (-140, -101, -102),
    rows: Sequence[Mapping[str, float]] | None = None,
    done: bool = True,
) -> Path:
    """A run's folder; without results where it is not done."""
    (folder / "figures").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config(choices or {}), sort_keys=False))
    (folder / "overrides.yaml").write_text("[]\n")
    table = epochs(validation) if rows is None else list(rows)
    with (folder / "metrics.csv").open("w") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in table for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    if done:
        (folder / "results.json").write_text(json.dumps({**RESULTS, **(results or {})}, indent=2))
        for kind in ("samples", "reconstructions"):
            Image.new("L", (20, 10), 128).save(folder / "figures" / f"{kind}.png")
    return folder


def write_sweep(folder: Path, betas: Sequence[float], seeds: Sequence[int], **choices: Any) -> Path:
    """A sweep over beta and seeds: the ELBO is -100 - 10 beta - seed, the best beta is the smallest."""
    for beta in betas:
        for seed in seeds:
            elbo = -100.0 - 10 * beta - seed
            write_run(
                folder / f"objective.beta={beta}_seed={seed}",
                {"objective.beta": beta, "seed": seed} | choices,
                results={"test/elbo": elbo, "test/rate": 25.0 - beta, "test/distortion": -elbo - 25 + beta},
                validation=(-150, elbo - 1, elbo - 3),
            )
    return folder
