"""Loaded data are refused if they contradict themselves; one plug-in for each contradiction."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from vae_cli.datasets import Data, Factors, Split
from vae_cli.datasets.dataset import HeldOutDataset, Source
from vae_cli.datasets.support import DomainError, check_data
from vae_cli.errors import ConfigError
from vae_cli.types import Domain

RNG = np.random.default_rng(0)
UNIT = torch.rand(9, 4)
X: dict[Domain, list[torch.Tensor]] = {
    "binary": [(UNIT > 0.5).float(), (UNIT > 0.5).to(torch.uint8) * 255],
    "levels": [(255 * UNIT).round() / 255, (255 * UNIT).to(torch.uint8), torch.zeros(9, 4, dtype=torch.uint8)],
    "unit": [UNIT, (255 * UNIT).to(torch.uint8)],
    "real": [8 * UNIT - 3],
}


def data(x, domain: Any = "unit", **changes: Any) -> Data:
    parts = {name: Split(x) for name in ("train", "val", "test")}
    return replace(Data("mine", domain, tuple(x.shape[1:]), **parts), **changes)


@pytest.mark.parametrize(("domain", "x"), [(domain, x) for domain in X for x in X[domain]])
def test_data_as_they_should_be_pass(domain, x):
    labels = torch.arange(len(x))
    whole = Split(x, labels, source=labels, factors=Factors(("f",), (9,), labels[:, None]), files=("a",) * len(x))
    check_data(data(x, domain, train=whole, classes=9), "mine")
    check_data(data(x, domain, val=Split(x[:0])), "mine")


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("domain", "value", "fits"),
    [
        ("binary", 0.2, "levels"),
        ("binary", 0.5, "unit"),
        ("binary", -1.0, "real"),
        ("unit", 1.01, "real"),
        ("levels", 0.5, "unit"),
        ("levels", 2.0, "real"),
        *((domain, value, None) for domain in X for value in (float("nan"), float("inf"))),
    ],
)
def test_one_value_outside_the_domain_in_any_split_is_named(split, domain, value, fits):
    x = X[domain][0]
    bad = Split(torch.cat([x] * 500), source=torch.arange(4500) + 7)  # more than a block
    assert isinstance(bad.x, torch.Tensor)
    bad.x[4321, 2] = value
    with pytest.raises(
        DomainError, match=rf"mine: {split}: row 4328 holds {value:g}; its domain is {domain}"
    ) as caught:
        check_data(data(x, domain, **{split: bad}), "mine")
    assert caught.value.domain == fits and caught.value.exit_code == 2


BYTES = (255 * UNIT).to(torch.uint8)
FAULTS = [
    (data(UNIT.double()), r"train: x is torch\.float64; give x\.float\(\)"),
    (data(UNIT.half()), r"train: x is torch\.float16"),
    (data((UNIT > 0.5).long(), "binary"), r"train: x is torch\.int64"),
    (data(UNIT > 0.5, "binary"), r"train: x is torch\.bool"),
    (data(BYTES, "real"), r"bytes are the k of k/255, and domain is real"),
    (data(BYTES, "binary"), r"train: row 0 holds \d+; its domain is binary, every value must be 0 or 255"),
    (data((UNIT > 0.5).to(torch.uint8), "levels"), r"bytes of 0 and 1, which are no grey levels"),
    (data((UNIT > 0.5).to(torch.uint8), "unit"), r"bytes of 0 and 1, which are no grey levels"),
    (data((UNIT > 0.5).to(torch.uint8), "binary"), r"row \d+ holds 1; its domain is binary"),
    (data(UNIT, "counts"), r"domain 'counts' is none of binary, unit, levels, real"),
    (data(UNIT, val=Split(torch.rand(2, 3))), r"val: x has events \(3,\), event_shape is \(4,\)"),
    (data(UNIT, test=Split(torch.rand(2, 2, 2))), r"test: x has events \(2, 2\)"),
    (data(UNIT, event_shape=(5,)), r"train: x has events \(4,\), event_shape is \(5,\)"),
    (data(torch.rand(9, 8, 8, 3)), r"channels last, \(8, 8, 3\)"),
    (data(UNIT, train=Split(UNIT[:0])), r"train has no examples"),
    (data(UNIT, train=Split(UNIT.numpy())), r"train: not a vae_cli\.datasets\.Split of a tensor"),
    (data(UNIT, train=UNIT), r"train: not a vae_cli\.datasets\.Split"),
    (data(UNIT, train=Split(UNIT, torch.rand(9))), r"train: y is torch\.float32, shape \(9,\)"),
    (data(UNIT, train=Split(UNIT, torch.zeros(8).long())), r"train: y is torch\.int64, shape \(8,\)"),
    (data(UNIT, train=Split(UNIT, np.zeros(9, int))), r"train: y is ndarray"),
    (data(UNIT, train=Split(UNIT, torch.arange(9) - 1)), r"train: y lies in -1\.\.7"),
    (data(UNIT, train=Split(UNIT, torch.arange(9)), classes=5), r"train: y lies in 0\.\.8, classes is 5"),
    (data(UNIT, train=Split(UNIT, source=torch.arange(3))), r"train: source is of 3 examples, x of 9"),
    (data(UNIT, train=Split(UNIT, files=("a",))), r"train: files is of 1 example, x of 9"),
    (None, r"load\(\) gives NoneType; it must return a vae_cli\.datasets\.Data"),
]


@pytest.mark.parametrize(("given", "message"), FAULTS)
def test_a_contradiction_is_named(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_data(given, "dataset Mine (mine.Mine)")
    assert str(caught.value).startswith("dataset Mine (mine.Mine)") and "\n" not in str(caught.value)


@dataclass(frozen=True, kw_only=True)
class Mine(HeldOutDataset):
    """A plug-in with what `source` says."""

    name: ClassVar[str] = "mine"
    source: Source

    def read(self) -> Source:
        return self.source


KEYS = {"batch_size": 4, "val_size": 2, "val_seed": 0, "test_fraction": 0.2, "test_seed": 0}


@pytest.mark.parametrize("binarize", ["dynamic", "static", "threshold"])
@pytest.mark.parametrize(
    ("x", "message"), [(16 * UNIT, "every value must be in"), ((UNIT > 0.5).to(torch.uint8), "bytes of 0 and 1")]
)
def test_what_is_to_be_binarised_is_looked_at_before(binarize, x, message):
    with pytest.raises(ConfigError, match=message):
        Mine(binarize=binarize, source=Source("unit", Split(x)), **KEYS).load()
