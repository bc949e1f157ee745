"""`vae-sample`: samples of a run's model, as numbers and as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_cli.commands.run import load
from vae_cli.config.schema import SampleConfig
from vae_cli.distributed.progress import task
from vae_cli.distributed.terminal import say
from vae_cli.figures.tiles import save_grid
from vae_cli.runs.atomic_files import room, write_atomically
from vae_cli.runs.folder import RunFolder


@torch.no_grad()
def sample_run(config: SampleConfig) -> Path:
    """Write n samples to .npz, z ~ p(z) or p(z|c) of one component, x ~ p(x|z) and the means E[x|z].

    For images a grid of the means goes to .png.
    """
    with task("loading the run"):
        run = load(Path(config.run), config.ckpt)
    torch.manual_seed(config.seed)
    z = run.draw(config.n, config.component)
    likelihood = run.decode(z)
    mean, x = likelihood.mean, likelihood.sample()
    folder = RunFolder(run.folder)
    component = "" if config.component is None else f"_c{config.component}"
    name = f"{folder.checkpoint(config.ckpt).stem}{component}_n{config.n}_seed{config.seed}"
    stem = room(folder.samples) / name
    arrays: dict[str, Any] = {"z": z.numpy(), "x": x.numpy(), "mean": mean.numpy()}
    write_atomically(stem.with_suffix(".npz"), lambda file: np.savez_compressed(file, **arrays))
    written = [stem.with_suffix(".npz")]
    if len(run.facts.event_shape) == 3:
        written.append(stem.with_suffix(".png"))
        low, high = mean.aminmax() if run.facts.domain == "real" else (0.0, 1.0)
        save_grid((mean - low) / (high - low), written[-1])
    say("written to " + ", ".join(os.path.relpath(path) for path in written))
    return written[0]
