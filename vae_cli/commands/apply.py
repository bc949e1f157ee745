"""`vae-encode`, `vae-score` and `vae-reconstruct`: a trained model at work on a file, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from vae_cli.batch import Batch
from vae_cli.commands.examples import Columns, examples, of_split
from vae_cli.commands.outputs import STDOUT, table
from vae_cli.commands.run import Run, load
from vae_cli.config.command_schemas import ApplyConfig, EncodeConfig, ReconstructConfig, ScoreConfig
from vae_cli.datasets.noise import seeds_of_rows
from vae_cli.distributed import machine
from vae_cli.distributed.cores import Arrival
from vae_cli.distributed.process_group import ProcessLayout, use_threads
from vae_cli.distributed.progress import task
from vae_cli.distributed.shard import row_noise
from vae_cli.distributed.terminal import say
from vae_cli.distributions.mixtures import log_responsibilities
from vae_cli.distributions.overflow import named
from vae_cli.errors import UserError, warn
from vae_cli.evaluation.metrics.latents import CodeGrids
from vae_cli.evaluation.scores import Scores, overflowing, score

Work = Callable[[Batch], Mapping[str, Tensor]]
"""The columns of a batch, (B,) or (B, ...)."""


def encode_run(config: EncodeConfig) -> None:
    """`vae-encode`: mean and scale of q(z|x), a draw, and the codes or the cluster where the model has them."""
    run = _loaded(config)
    _write(run, config, "encoding", lambda batch: codes(run, batch, config.seed))


def score_run(config: ScoreConfig) -> None:
    """`vae-score`: the scores of each example, with its percentile among those of training examples."""
    run = _loaded(config)
    reference = reference_scores(run, config.reference, config.samples, config.seed)
    left_out: list[int] = []
    done = 0

    def work(batch: Batch) -> Mapping[str, Tensor]:
        nonlocal done
        found = score(run.model, batch, config.samples, config.seed)
        left_out.extend(done + row for row in overflowing(found))
        done += len(batch)
        return (found if reference is None else found.among(reference)).columns()

    _write(run, config, "scoring", work)
    if left_out:
        warn(f"data={config.data}: the numbers of {named(left_out)}, counted from 0, overflow: their score is -inf")


def reconstruct_run(config: ReconstructConfig) -> None:
    """`vae-reconstruct`: E[x|z] at z = E_q[z|x] for each example, and its squared distance from x."""
    run = _loaded(config)
    _write(run, config, "reconstructing", lambda batch: reconstruction(run, batch, config.seed))


@torch.no_grad()
def codes(run: Run, batch: Batch, seed: int) -> dict[str, Tensor]:
    """The codes of a batch: moments and a draw of q(z|x), then indices of a codebook or q(c|x) of a mixture."""
    with row_noise(seeds_of_rows(batch.x, seed)):
        q = run.model.encode(batch)
        draw = q.rsample() if q.has_rsample else q.sample()
    if not run.model.draws_vary:
        return {"code": cast(CodeGrids, q).indices, "mean": q.mean}
    if not run.model.has_density:
        return {"mean": q.mean}
    found = {"mean": q.mean, "scale": q.variance.clamp(min=0).sqrt(), "draw": draw}
    if run.has_clusters:
        shares = log_responsibilities(run.mixture, q).exp()
        found |= {"cluster": shares.argmax(-1), "responsibility": shares}
    return found


@torch.no_grad()
def reconstruction(run: Run, batch: Batch, seed: int) -> dict[str, Tensor]:
    """E[x|z] at z = E_q[z|x], in the data's own units, and |x - E[x|z]|^2."""
    with row_noise(seeds_of_rows(batch.x, seed)):
        mean = run.decode(run.model.encode(batch).mean).mean
    x = run.model.likelihood.original(batch.x)
    return {"reconstruction": mean, "squared_error": (x - mean).square().flatten(1).sum(1)}


def reference_scores(run: Run, count: int, samples: int, seed: int) -> Tensor | None:
    """The scores of `count` training examples, (count,); None for 0."""
    if not count:
        return None
    try:
        found = of_split(run, "train", count)
    except UserError as error:
        raise UserError(f"{error}; or set reference=0, which leaves out the percentile") from error
    parts = _tracked(found.batches, found.total, "scoring training examples")
    return Scores.cat([score(run.model, batch, samples, seed) for _, batch in parts]).log_likelihood


def _loaded(config: ApplyConfig) -> Run:
    """The run, on the device and with the threads that the command asks for."""
    arrival = Arrival.now()
    machine.check(config.trainer.accelerator, "32-true")
    gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    machine.keep_freed_memory()
    use_threads(ProcessLayout(1, 1), asked=config.trainer.threads, gpu=gpu, arrival=arrival)
    places = {"dataset_path": config.dataset.path, "dataset_root": config.dataset.root}
    with task("loading the run"):
        return load(Path(config.run), config.ckpt, "cuda" if gpu else "cpu", **places)


def _write(run: Run, config: ApplyConfig, what: str, work: Work) -> None:
    """Write the columns of all examples, in their order."""
    found = examples(run, config.data)
    with table(config.out, run.schema.entries) as write:
        for names, batch in _tracked(found.batches, found.total, what):
            write(names | {name: values.cpu().numpy() for name, values in work(batch).items()})
    if config.out != STDOUT:
        say(f"written to {config.out}")


def _tracked(batches: Iterator[tuple[Columns, Batch]], total: int | None, what: str) -> Iterator[tuple[Columns, Batch]]:
    """The batches, with a bar that moves after each."""
    done = 0
    with task(what, total) as work:
        for names, batch in batches:
            yield names, batch
            done += len(batch)
            work.reach(done)
