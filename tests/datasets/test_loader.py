import itertools

import pytest
import torch

from vae_cli.batch import Batch
from vae_cli.datasets import BatchLoader, Split

CPU = torch.device("cpu")
N, SIZE = 23, 5


def split(dynamic: bool = False) -> Split:
    x = torch.arange(N * 4).reshape(N, 1, 2, 2).to(torch.uint8)
    return Split(x, torch.arange(N) % 3, dynamic)


def loader(dynamic: bool = False, seed: int = 0, shuffle: bool = True) -> BatchLoader:
    return BatchLoader(split(dynamic), batch_size=SIZE, seed=seed, shuffle=shuffle, device=CPU)


def same(a: list[Batch], b: list[Batch]) -> bool:
    pairs = list(zip(a, b, strict=False))
    return len(a) == len(b) and all(torch.equal(p.x, q.x) and torch.equal(p.index, q.index) for p, q in pairs)


def test_an_epoch_visits_every_example_once_with_a_short_last_batch():
    batches = list(loader())
    assert [len(b) for b in batches] == [5, 5, 5, 5, 3] and len(loader()) == 5
    index = torch.cat([b.index for b in batches])
    assert sorted(index.tolist()) == list(range(N)) and index.tolist() != list(range(N))
    x, y = split().x, split().y
    assert isinstance(x, torch.Tensor) and y is not None
    for b in batches:
        assert b.x.dtype == torch.float32 and b.y is not None
        assert torch.equal(b.x, x[b.index].float() / 255) and torch.equal(b.y, y[b.index])


def test_the_order_depends_on_seed_and_epoch_only():
    first, second = loader(), loader()
    torch.manual_seed(1)
    a = [list(first) for _ in range(3)]
    torch.manual_seed(2)
    b = [list(second) for _ in range(3)]
    assert all(same(p, q) for p, q in zip(a, b, strict=True))
    assert not same(a[0], a[1]) and not same(a[0], list(loader(seed=1)))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("done", range(13))
def test_a_resumed_loader_continues_exactly(done, dynamic):
    def endless(batches: BatchLoader):
        while True:
            yield from batches

    straight = list(itertools.islice(endless(loader(dynamic)), 20))
    interrupted = loader(dynamic)
    before = list(itertools.islice(endless(interrupted), done))
    resumed = loader(dynamic)
    resumed.load_state_dict(interrupted.state_dict())
    after = list(itertools.islice(endless(resumed), 20 - done))
    assert same(straight, before + after)


def test_the_state_counts_a_batch_before_it_is_handed_out():
    batches = loader()
    assert batches.state_dict() == {"epoch": 0, "batch": 0}
    states = [batches.state_dict() for _ in batches]
    assert states == [*({"epoch": 0, "batch": i} for i in range(1, 5)), {"epoch": 1, "batch": 0}]
    next(iter(batches))
    assert batches.state_dict() == {"epoch": 1, "batch": 1}


def test_a_pass_that_was_broken_off_is_not_continued():
    batches, straight = loader(), loader()
    next(iter(batches))
    list(straight)
    assert same(list(batches), list(straight))


def test_dynamic_noise_changes_between_epochs_when_shuffled_only():
    train, fixed = loader(dynamic=True), loader(dynamic=True, shuffle=False)
    images = [torch.cat([b.x for b in train])[torch.cat([b.index for b in train]).argsort()] for _ in range(2)]
    assert set(images[0].unique().tolist()) <= {0.0, 1.0} and not torch.equal(*images)
    assert same(list(fixed), list(fixed))


def test_an_empty_split_has_no_batches():
    empty = Split(torch.empty(0, 3))
    assert list(BatchLoader(empty, batch_size=4, seed=0, shuffle=False, device=CPU)) == []


def test_a_limited_epoch_is_an_epoch_of_its_own():
    loader = BatchLoader(split(), batch_size=SIZE, seed=0, shuffle=True, device=CPU, limit=2)
    first, state = [b.index for b in loader], loader.state_dict()
    second = [b.index for b in loader]
    assert len(loader) == len(first) == len(second) == 2 and not torch.equal(first[0], second[0])
    again = BatchLoader(split(), batch_size=SIZE, seed=0, shuffle=True, device=CPU, limit=2)
    again.load_state_dict(state)
    assert all(torch.equal(a.index, b) for a, b in zip(again, second, strict=True))
