"""Each objective on shards of a batch, its gradients averaged over processes: the loss and gradients of one process."""

import multiprocessing
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.support.configs import composed
from vae_cli.batch import Batch
from vae_cli.config.schema import TrainConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.distributed.process_group import all_reduce_sum
from vae_cli.distributed.shard import BatchShard, shard_context
from vae_cli.objectives import Progress
from vae_cli.training.build import build_module

SMALL = ["network=mlp", "network.hidden=[16]"]
BINARY = ["likelihood=bernoulli", "dataset.binarize=threshold"]
CODES = ["network.channels=[4]", "network.blocks=0", "codebook.codes=8", "codebook.restart_threshold=0.9"]
CASES = {
    "infovae": [*SMALL, "objective=infovae", "objective.lambda_=10"],
    "imq": [*SMALL, "objective=wae", "divergence=imq_mmd"],
    "sliced_wasserstein": [*SMALL, "objective=wae", "divergence=sliced_wasserstein"],
    "median": [*SMALL, "objective=mmd_vae", "divergence=mmd", "divergence.bandwidths=null"],
    "aae": [*SMALL, "model=aae", "divergence.penalty=1"],
    "hinge": [*SMALL, "model=aae", "divergence=latent_discriminator_hinge", "divergence.spectral_norm=true"],
    "tcvae": [*SMALL, "objective=tcvae"],
    "stratified": [*SMALL, "objective=tcvae_stratified"],
    "factorvae": [*SMALL, "objective=factorvae"],
    "gan": ["model=gan", *SMALL],
    "moment_matching": ["model=gan", *SMALL, "divergence=mmd"],
    "vae_gan": ["model=vae_gan", *SMALL],
    "moving_averages": ["model=vqvae", *CODES],
    "learned_codes": ["model=vqvae", "codebook=loss", *CODES],
    "gumbel": [*SMALL, "posterior=categorical", "prior=categorical", "model.latent_dim=4", "posterior.categories=2",
               "posterior.enumerated=0"],
}  # fmt: skip
LATER = ("imq", "median", "hinge", "stratified", "moment_matching", "learned_codes")
"""Cases that have the parts of others."""
PROCESSES = 3
ROWS = (7, 2)
"""Batch sizes: shards of unequal size, and fewer rows than processes."""
Outcome = tuple[dict[str, Tensor], dict[str, Tensor]]


def outcome(config: TrainConfig, batch: Batch) -> Outcome:
    """Metrics, and then gradients and buffers by name, as in a training step with its mean over processes."""
    share = batch.share
    facts = DatasetInfo("digits", (1, 8, 8), "binary", "", 100)
    torch.manual_seed(0)
    module = build_module(config, facts).train()
    torch.manual_seed(1)
    with shard_context(share):
        terms = module.phases[-1].objective(module.model, batch, Progress(0.5, 100))
    weight, count, processes = (share.weight, share.count, share.processes) if share else (1.0, len(batch), 1)
    (terms.loss * weight).backward()
    metrics = {name: all_reduce_sum(value.detach() * count) / batch.total for name, value in terms.metrics.items()}
    learned = {
        name: all_reduce_sum(torch.zeros_like(value) if value.grad is None else value.grad) / processes
        for name, value in module.named_parameters()
    }
    return metrics, learned | dict(module.named_buffers()) | {"next": torch.rand(1)}


def batch_of(rows: int) -> Batch:
    torch.manual_seed(2)
    return Batch(torch.rand(rows, 1, 8, 8).round(), torch.arange(rows), torch.zeros(rows, dtype=torch.int64))


def work(rank: int, configs: Mapping[str, TrainConfig], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    found = dict[tuple[str, int], Outcome]()
    for rows in ROWS:
        share, whole = BatchShard.of(rows, rank, PROCESSES), batch_of(rows)
        own = replace(whole.part(share.start, share.stop - share.start), share=share)
        found |= {(name, rows): outcome(config, own) for name, config in configs.items()}
    if rank == 0:
        torch.save(found, folder / "found.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def configs(request: pytest.FixtureRequest) -> dict[str, TrainConfig]:
    """Configurations of the cases that this run selects, by name."""
    names = {item.callspec.params["name"] for item in request.session.items if item.path == request.path}
    return {name: composed(*CASES[name], *BINARY) for name in sorted(names)}


@pytest.fixture(scope="module")
def found(configs, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Outcome]:
    folder = tmp_path_factory.mktemp("processes")
    start = multiprocessing.get_context("fork").Process
    processes = [start(target=work, args=(rank, configs, folder)) for rank in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    return torch.load(folder / "found.pt")


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in LATER)) for one in CASES])
def test_shards_have_the_loss_and_gradients_of_the_whole_batch(name: str, rows: int, found, configs) -> None:
    torch.testing.assert_close(found[name, rows], outcome(configs[name], batch_of(rows)), rtol=1e-3, atol=1e-5)
