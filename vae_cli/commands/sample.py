"""`vae-sample`: samples of a run's model, as numbers, as a table and as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from vae_cli.commands.examples import BLOCK
from vae_cli.commands.outputs import ARRAYS, STDOUT, table
from vae_cli.commands.run import Run, load
from vae_cli.config.command_schemas import SampleConfig
from vae_cli.distributed.progress import task
from vae_cli.distributed.terminal import say
from vae_cli.figures.tiles import save_grid
from vae_cli.runs.atomic_files import room
from vae_cli.runs.folder import RunFolder


@torch.no_grad()
def sample_run(config: SampleConfig) -> None:
    """Write n samples: z ~ p(z), or on the line between two examples, x ~ p(x|z), and the means E[x|z].

    A table has x alone. Without `out` they go to .npz in the run's folder, for images with a grid of the means as .png.
    """
    with task("loading the run"):
        run = load(Path(config.run), config.ckpt)
    torch.manual_seed(config.seed)
    z, out = latents(run, config), config.out or str(_default(run, config))
    with table(out, run.schema.entries) as write, task("decoding", len(z)) as work:
        for start in range(0, len(z), BLOCK):
            part = z[start : start + BLOCK]
            likelihood = run.decode(part)
            found = {"x": likelihood.sample().numpy()}
            if Path(out).suffix.lower() == ARRAYS:
                found |= {"z": part.numpy(), "mean": likelihood.mean.numpy()}
            write(found)
            work.reach(start + len(part))
    written = [] if out == STDOUT else [out]
    if config.out is None and len(run.facts.event_shape) == 3:
        written.append(str(Path(out).with_suffix(".png")))
        _draw(run, z, Path(written[-1]))
    if written:
        say("written to " + ", ".join(map(os.path.relpath, written)))


def latents(run: Run, config: SampleConfig) -> Tensor:
    """z of the samples, (n, d)."""
    if config.between is None:
        return run.draw(config.n, config.component, config.temperature)
    return run.between(config.between[0], config.between[1], config.n)


def _default(run: Run, config: SampleConfig) -> Path:
    """A file in the run's folder, named after the options."""
    folder = RunFolder(run.folder)
    parts = {"c": config.component, "t": None if config.temperature == 1 else config.temperature}
    options = "".join(f"_{key}{value}" for key, value in parts.items() if value is not None)
    line = "" if config.between is None else "_between"
    name = f"{folder.checkpoint(config.ckpt).stem}{options}{line}_n{config.n}_seed{config.seed}.npz"
    return room(folder.samples) / name


def _draw(run: Run, z: Tensor, path: Path) -> None:
    mean = run.decode(z).mean
    low, high = mean.aminmax() if run.facts.domain == "real" else (0.0, 1.0)
    save_grid((mean - low) / (high - low), path)
