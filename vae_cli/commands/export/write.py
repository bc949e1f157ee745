"""`vae-export`: encoder, decoder and scorer of a run in a format that needs no vae_cli, with a model card."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_cli.commands.export import formats
from vae_cli.commands.export.card import card_of_parts
from vae_cli.commands.export.parts import Part, Parts, examples
from vae_cli.commands.run import Run, load
from vae_cli.config.command_schemas import ExportConfig
from vae_cli.config.schema import plain
from vae_cli.distributed.progress import task, track
from vae_cli.distributed.terminal import say
from vae_cli.errors import UserError, first_line, warn
from vae_cli.runs.atomic_files import new_folder, write_json, write_text_atomically
from vae_cli.runs.folder import RunFolder
from vae_cli.training.build import build_module

TOLERANCE = 1e-5
TRACED, COMPARED = 3, (1, 8)
"""Rows of the batch that is traced, and of those that are compared."""


def export_run(config: ExportConfig) -> Path:
    """Write the parts of a run into a new folder, once each agrees with the model; returns the folder."""
    with task("loading the run"):
        run = load(Path(config.run), config.ckpt)
    place = config.out or str(RunFolder(run.folder).path / "export" / config.format)
    folder, parts = new_folder(place), Parts.of(run.model)
    for name, reason in parts.left_out.items():
        warn(f"{name}: left out, because {reason}")
    with _whole(folder) as partial:
        write = _weights if config.format == "safetensors" else _graphs
        differences = write(run, parts, config.format, partial)
        values = {"config": plain(run.config), "data": _facts(run), "results": run.results}
        write_json(partial / "config.json", values)
        write_text_atomically(partial / "README.md", card_of_parts(run, parts, config.format, differences))
    names, worst = ", ".join(differences), max(differences.values())
    say(f"{names}: within {worst:.1e} of the model, written to {os.path.relpath(folder)}")
    return folder


def _graphs(run: Run, parts: Parts, form: str, folder: Path) -> dict[str, float]:
    """Write a file for each part; the difference of each from the model, by name."""
    write, suffix = formats.GRAPHS[form]
    differences = {}
    run.model.to(memory_format=torch.contiguous_format)  # a program saves no weights of images in channels last
    for part in track(parts.found, "exporting the parts"):
        try:
            read_back = write(part, _inputs(part, TRACED), folder / f"{part.name}{suffix}")
        except Exception as error:  # the exporters raise many kinds
            problem = f"format={form}: the {part.name} has an operation that it cannot express"
            raise UserError(f"{problem} ({first_line(error)}); use format=safetensors") from error
        differences[part.name] = _agreement(part, read_back)
    return differences


def _weights(run: Run, parts: Parts, form: str, folder: Path) -> dict[str, float]:
    """Write the weights; the difference of each part of a model that is built anew with them, by name."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in run.model.state_dict().items()}, path)
    model = build_module(run.config, run.facts).eval().model
    model.load_state_dict(load_file(path))
    built = {part.name: part for part in Parts.of(model).found}
    return {part.name: _agreement(part, formats.called(built[part.name])) for part in parts.found}


def _agreement(part: Part, other: formats.Written) -> float:
    """The largest difference between a part and what was read back; UserError beyond the tolerance."""
    found = 0.0
    for rows in COMPARED:
        inputs = _inputs(part, rows)
        found = max(found, formats.difference(other(inputs), formats.called(part)(inputs)))
    if not found <= TOLERANCE:
        problem = f"the {part.name} that was written differs from the model by {found:.1e}, more than {TOLERANCE:.0e}"
        raise UserError(f"{problem}; use another format, or ckpt=last")
    return found


def _inputs(part: Part, rows: int) -> dict[str, Tensor]:
    values = examples(part.model, rows)
    return {name: values[name] for name in part.inputs}


def _facts(run: Run) -> dict[str, Any]:
    """The facts of the data, in plain containers."""
    units = run.facts.standardisation
    kept = vars(replace(run.facts, standardisation=None))
    kept["event_shape"] = list(kept["event_shape"])
    statistics = units and {"mean": units.mean.tolist(), "scale": units.scale.tolist()}
    return kept | {"standardisation": statistics}


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder that takes the name `folder` at the end; nothing stays where the work fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        partial = Path(place) / folder.name
        partial.mkdir()
        yield partial
        partial.replace(folder)
