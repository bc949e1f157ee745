"""A run's final numbers: results.json with flat keys, and the table on the terminal."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

Results = dict[str, float | int | str | bool | list[float] | list[str] | None]

PACKAGES = ("vae-cli", "torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "wandb", "numpy")
UNITS = {
    "examples": "",
    "images": "",
    "iw_samples": "",
    "mc_samples": "",
    "active_units": "dimensions",
    "aggregated_mmd": "",
    "aggregated_variance": "",
    "sample_mmd": "",
    "effective_sample_size": "samples",
    "bits_per_dim": "bits",
    "code_perplexity": "codes",
    "code_usage": "",
    "cluster_accuracy": "",
    "cluster_nmi": "",
    "cluster_ari": "",
    "cluster_occupancy": "",
    "cluster_weights": "",
    "mig": "",
    "dci_disentanglement": "",
    "dci_completeness": "",
    "dci_informativeness": "",
    "sap": "",
    "factorvae_score": "",
}


def provenance() -> Results:
    """Versions of packages and state of the code."""
    results: Results = {f"version/{name}": version(name) for name in PACKAGES}
    results["version/python"] = platform.python_version()
    here = Path(__file__).parent
    commit = _git(here, "rev-parse", "HEAD")
    return results | {"git/commit": commit, "git/dirty": bool(_git(here, "status", "--porcelain")) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def print_table(results: Mapping[str, object], title: str) -> None:
    """The numbers of splits and of exact answers, each with its standard error."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column, justify in (("", "left"), ("value", "right"), ("standard error", "right"), ("unit", "left")):
        table.add_column(column, justify=justify, no_wrap=True)  # pyright: ignore[reportArgumentType]
    for name, value in results.items():
        prefix, _, key = name.partition("/")
        if prefix not in ("train", "val", "train_split", "val_split", "test", "exact", "gaps") or key.endswith("_se"):
            continue
        if isinstance(value, list):
            table.add_row(name, _range(value), "", _unit(key))
        if not isinstance(value, int | float):
            continue
        error = results.get(f"{name}_se")
        shown = f"{value:.4g}" if key == "effective_sample_size" else _number(value)
        table.add_row(name, shown, _number(error) if isinstance(error, float) else "", _unit(key))
    console = Console()
    (console if console.is_terminal else Console(width=100)).print(table)


def _range(values: list[float]) -> str:
    """A list's extremes, or the positions that it names."""
    if all(isinstance(value, int) for value in values):
        return ", ".join(map(str, values))
    return f"{min(values):.3f} to {max(values):.3f}"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _unit(key: str) -> str:
    if key in UNITS:
        return UNITS[key]
    if key.endswith("per_second"):
        return "1/s"
    if key == "reconstruction_error":
        return "squared"
    return "" if key in ("epochs", "steps", "best_epoch", "not_finite_rows", "first_not_finite_rows") else "nats"
