"""Several processes that train one model: batches, noise and numbers are those of one."""

import csv
import json
from pathlib import Path

import pytest
import torch

from tests.support.commands import fork, shadow_libraries
from vae_cli.datasets import BatchLoader, Split
from vae_cli.datasets.noise import bernoulli
from vae_cli.distributed.shard import BatchShard, shard_context
from vae_cli.distributions.gaussians import SharedMultivariateNormal, gaussian
from vae_cli.objectives.augmentation import jittered, masked

CPU = torch.device("cpu")


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [1, 4, 5, 32])
def test_shares_make_up_the_batch(processes: int, total: int) -> None:
    shares = [BatchShard.of(total, rank, processes) for rank in range(processes)]
    assert sum(share.count for share in shares) == total
    assert sum(share.weight for share in shares) == pytest.approx(processes)
    assert all(share.stop - share.start >= 1 for share in shares)
    rows = [n for share in shares if share.count for n in range(share.start, share.stop)]
    assert rows == list(range(total))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_batches_are_divided_with_their_noise(dtype: torch.dtype) -> None:
    x = torch.randint(0, 255, (23, 1, 2, 2), dtype=torch.uint8)
    split = Split(x if dtype == torch.uint8 else x / 255, torch.arange(23), dynamic=True)
    settings = {"batch_size": 5, "seed": 3, "shuffle": True, "device": CPU}
    whole = list(BatchLoader(split, **settings))
    parts = zip(*(BatchLoader(split, **settings, rank=rank, processes=2) for rank in (0, 1)), strict=True)
    for batch, (one, two) in zip(whole, parts, strict=True):
        for name in ("x", "index", "y"):
            assert torch.equal(torch.cat([getattr(one, name), getattr(two, name)]), getattr(batch, name))
        assert (one.total, len(one) + len(two)) == (len(batch), len(batch))


def test_whole_batches_are_dealt_out_in_order() -> None:
    split = Split(torch.rand(23, 2))
    settings = {"batch_size": 5, "seed": 0, "shuffle": False, "device": CPU, "whole": True}
    parts = [[b.index for b in BatchLoader(split, **settings, rank=r, processes=7)] for r in range(7)]
    assert torch.equal(torch.cat([index for part in parts for index in part]), torch.arange(23))
    assert sorted(len(part) for part in parts) == [0, 0, 1, 1, 1, 1, 1]


DRAWS = {
    "diagonal": lambda x: gaussian(x, torch.ones_like(x), 1).rsample(torch.Size((2,))).transpose(0, 1),
    "full": lambda x: SharedMultivariateNormal(x, scale_tril=torch.eye(3)).rsample(),
    "masked": lambda x: masked(x, 0.5),
    "jittered": lambda x: jittered(x.view(-1, 1, 3, 1).expand(-1, 1, 3, 3), 1.0),
    "bernoulli": lambda x: bernoulli(x.sigmoid(), torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
@pytest.mark.parametrize("processes", [2, 3])
def test_noise_is_that_of_the_whole_batch(draw, processes: int) -> None:
    x = torch.randn(7, 3)
    torch.manual_seed(0)
    whole, after = draw(x), torch.rand(1)
    parts = []
    for rank in range(processes):
        share = BatchShard.of(7, rank, processes)
        torch.manual_seed(0)
        with shard_context(share):
            parts.append(draw(x[share.start : share.stop]))
        assert torch.rand(1) == after
    assert torch.equal(torch.cat(parts), whole)


def test_several_nodes_need_slurm(tmp_path: Path) -> None:
    done = fork("vae-train", "dataset=digits", "trainer.num_nodes=2", "logger=none", folder=tmp_path)
    assert done.code == 2 and "start it by srun --nodes=2 --ntasks-per-node=1" in done.err


VADE = ["model=vade", "pretraining.epochs=1", "initialisation=gmm", "initialisation.fixed_epochs=1"]
VADE += ["network.hidden=[16]", "model.latent_dim=3", "prior.components=3"]
SMALL = ["network=mlp", "network.hidden=[16]", "model.latent_dim=3", "trainer.max_epochs=2"]
OTHERS = {
    "accumulated": [*VADE, "trainer.accumulate_grad_batches=1"],
    "infovae": [*SMALL, "objective=infovae"],
    "aae": ["model=aae", *SMALL],
    "tcvae": [*SMALL, "objective=tcvae"],
    "factorvae": [*SMALL, "objective=factorvae"],
    "gan": ["model=gan", *SMALL],
    "vae_gan": ["model=vae_gan", *SMALL],
    "vq": ["model=vqvae", "network.channels=[4]", "codebook.codes=8", "trainer.max_epochs=2"],
}


@pytest.mark.parametrize(
    "system",
    [
        [*VADE, "trainer.accumulate_grad_batches=4"],
        *(pytest.param(line, marks=pytest.mark.slow, id=name) for name, line in OTHERS.items()),
    ],
)
def test_two_processes_come_to_the_numbers_of_one(system: list[str], tmp_path: Path) -> None:
    line = ["dataset=digits", *system, "evaluate.batch_size=100", "evaluate.samples=2", "dataset.batch_size=101"]
    line += ["logger=csv", "logger.every=3", "trainer.accelerator=cpu"]  # rank 0 alone has a logger
    rows = {}
    shadow_libraries(tmp_path)  # which the second process leaves alone
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        run = [*line, f"trainer.devices={devices}", f"hydra.run.dir={folder}"]
        done = fork("vae-train", *run, folder=tmp_path)
        assert done.code == 0 and done.out.count("codes clustered") == ("model=vade" in system), done.err
        with (folder / "metrics.csv").open() as file:
            table = [{k: float(v) for k, v in row.items() if v and "second" not in k} for row in csv.DictReader(file)]
        results = json.loads((folder / "results.json").read_text())
        numbers = {k: v for k, v in results.items() if k.startswith("test/") and isinstance(v, float)}
        rows[devices] = [*table, numbers]
    assert not (tmp_path / "shadowed").exists()
    for one, two in zip(rows[1], rows[2], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-4)
