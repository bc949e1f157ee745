import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from tests.support.configs import composed
from vae_cli.datasets import Shapes
from vae_cli.datasets.shapes import ANGLES, COLOURS, INSIDE, NAMES, RADII, SIZES, render
from vae_cli.errors import ConfigError

KEYS = {"batch_size": 100, "val_size": 500, "val_seed": 0, "test_size": 1000, "data_seed": 3}
AREAS = (2.0, np.pi / 2, 3 * np.sqrt(3) / 4)  # square, ellipse, triangle of circumradius 1


def shapes(train_size=3000, binarize="none", **keys):
    return Shapes(train_size=train_size, binarize=binarize, **{**KEYS, **keys}).load()


def some(count: int) -> torch.Tensor:
    return torch.stack([torch.randint(size, (count,)) for size in SIZES], 1)


def moments(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area (N,), centre (N, 2) and covariance (N, 2, 2) of brightness, x before y."""
    area = masks.sum((1, 2))
    y, x = np.mgrid[:32, :32]
    centre = np.stack([(masks * axis).sum((1, 2)) / area for axis in (x, y)], 1)
    parts = [axis - centre[:, k, None, None] for k, axis in enumerate((x, y))]
    covariance = [[(masks * a * b).sum((1, 2)) / area for a in parts] for b in parts]
    return area, centre, np.array(covariance).transpose(2, 0, 1)


def test_a_shape_is_where_its_factors_say_as_large_and_turned_as_they_say():
    values = some(2000)
    masks = render(values).numpy().max(1) / 255
    shape, _, scale, rotation, *position = values.numpy().T
    area, centre, covariance = moments(masks)
    np.testing.assert_allclose(centre, 8 + np.stack(position, 1), atol=0.05)
    np.testing.assert_allclose(area, np.array(AREAS)[shape] * RADII[scale] ** 2, rtol=0.03)
    ellipses = shape == 1
    long_axis = np.linalg.eigh(covariance[ellipses])[1][:, :, -1]
    angle = np.arctan2(long_axis[:, 1], long_axis[:, 0]) % np.pi  # y grows downwards: clockwise
    expected = ANGLES[rotation[ellipses]]
    assert np.abs((angle - expected + np.pi / 2) % np.pi - np.pi / 2).max() < np.pi / 16 / 4


def test_all_channels_of_a_colour_are_alike_and_the_others_black():
    values = some(100)
    images = render(values)
    masks = images.amax(1, keepdim=True)
    assert torch.equal(images, masks * torch.from_numpy(COLOURS)[values[:, 1], :, None, None])
    assert images.dtype == torch.uint8 and images.shape == (100, 3, 32, 32) and masks.amax((1, 2, 3)).eq(255).all()
    assert 0.1 < masks.gt(0).logical_and(masks.lt(255)).sum() / masks.gt(0).sum() < 0.8  # smooth edges


def test_each_factor_changes_the_image():
    base = some(20)
    for k, size in enumerate(SIZES):
        versions = base.repeat(size, 1)
        versions[:, k] = torch.arange(size).repeat_interleave(len(base))
        images = render(versions).int().unflatten(0, (size, len(base)))
        for one, other in itertools.combinations(images, 2):
            assert (one - other).abs().sum((1, 2, 3)).min() > 255, NAMES[k]


def test_no_shape_looks_the_same_after_less_than_a_quarter_turn():
    angles, radii = np.random.default_rng(0).random((2, 10_000))
    x, y = np.sqrt(radii) * np.cos(2 * np.pi * angles), np.sqrt(radii) * np.sin(2 * np.pi * angles)
    for inside in INSIDE:
        for turn in np.linspace(0, np.pi / 2, 16, endpoint=False)[1:]:
            turned = inside(np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y)
            assert (turned != inside(x, y)).mean() > 0.01


def test_factors_are_uniform_independent_and_belong_to_their_images():
    data = shapes(train_size=6000)
    assert (data.domain, data.event_shape, data.classes) == ("levels", (3, 32, 32), 3)
    assert (len(data.train), len(data.val), len(data.test)) == (5500, 500, 1000)
    for split in (data.train, data.val, data.test):
        factors = split.factors
        assert factors is not None and (factors.names, factors.sizes) == (NAMES, SIZES)
        assert isinstance(split.x, torch.Tensor) and torch.equal(split.x, render(factors.values))
        assert split.y is not None and torch.equal(split.y, factors.values[:, 0])
    assert data.train.factors is not None
    columns = data.train.factors.values.numpy().T
    for column, size in zip(columns, SIZES, strict=True):
        assert chisquare(np.bincount(column, minlength=size)).pvalue > 1e-3
    for one, other in itertools.combinations(columns, 2):
        table = np.zeros((one.max() + 1, other.max() + 1))
        np.add.at(table, (one, other), 1)
        assert chi2_contingency(table).pvalue > 1e-3


def test_a_seed_gives_the_same_images_in_every_run():
    hashes = [shapes(train_size=600, data_seed=seed).sha256 for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_binarised_shapes_keep_their_factors():
    grey, binary = shapes(600), shapes(600, binarize="dynamic")
    assert binary.domain == "binary" and grey.test.factors is not None and binary.test.factors is not None
    assert torch.equal(binary.test.factors.values, grey.test.factors.values)
    assert isinstance(binary.test.x, torch.Tensor) and set(binary.test.x.unique().tolist()) == {0, 255}


def test_every_likelihood_scores_shapes_binary_or_not():
    composed("dataset=shapes", "model=conv_vae")
    for likelihood in ("discretised_logistic", "categorical", "continuous_bernoulli", "gaussian"):
        composed("dataset=shapes", "dataset.binarize=none", f"likelihood={likelihood}")
    with pytest.raises(ConfigError, match=r"scores levels data.*; use likelihood=bernoulli.* or dataset.binarize=none"):
        composed("dataset=shapes", "likelihood=categorical")
    with pytest.raises(ConfigError, match=r"scores binary data.*; use .* or dataset.binarize=dynamic"):
        composed("dataset=shapes", "dataset.binarize=none", "likelihood=bernoulli")
