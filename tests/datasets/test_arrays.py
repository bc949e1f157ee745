"""Users' arrays: one conversion for files and for the Python interface."""

import numpy as np
import pytest
import torch

from vae_cli.datasets.arrays import events, events_like, numbers
from vae_cli.errors import UserError

RNG = np.random.default_rng(0)
K = np.arange(256)
MASK = RNG.integers(0, 2, (5, 1, 4, 4))


def floats(stored):
    return stored.float() / 255 if stored.dtype == torch.uint8 else stored


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, ">f4", ">f8"])
def test_levels_of_every_float_type_are_exact(dtype):
    stored = events((K / 255).astype(dtype).reshape(2, 128), "levels", "x")
    np.testing.assert_array_equal(stored.flatten(), K)


def test_rounded_levels_are_exact():
    x = np.round(K / 255, 5).reshape(16, 16)
    np.testing.assert_array_equal(events(x, "levels", "x").flatten(), K)
    np.testing.assert_array_equal(events_like(x, (16,), "levels", "x").flatten(), K)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_level_is_refused(dtype):
    x = ((K[:-1] + 0.4) / 255).astype(dtype).reshape(5, 51)
    with pytest.raises(UserError, match=r"k/255 with a whole k"):
        events(x, "levels", "x")


@pytest.mark.parametrize("domain", ["real", "unit", "binary"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64, np.uint16, np.float16, np.float64])
def test_a_table_of_zeros_and_ones_is_zeros_and_ones(domain, dtype):
    x = RNG.integers(0, 2, (6, 3)).astype(dtype)
    np.testing.assert_array_equal(floats(events(x, domain, "x")), x.astype(float))


def test_bytes_of_a_table_and_of_real_data_are_the_numbers_they_are():
    table, images = (RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 3), (6, 4, 4)))
    np.testing.assert_array_equal(events(table, "real", "x"), table.astype(np.float32))
    np.testing.assert_array_equal(events(images, "real", "x")[:, 0], images.astype(np.float32))
    np.testing.assert_allclose(floats(events(images, "unit", "x"))[:, 0], images / 255, atol=1e-7)
    np.testing.assert_allclose(floats(events(table, "levels", "x")), table / 255, atol=1e-7)
    message = r"row \d, column \d holds \d+; every value must be in \[0, 1\].*domain=levels.*; use dataset.domain=real"
    with pytest.raises(UserError, match=message):
        events(table, "unit", "x")


@pytest.mark.parametrize("x", [MASK.astype(bool), MASK.astype(np.uint8), (255 * MASK).astype(np.uint8), MASK / 1.0])
def test_masks_are_binary_in_all_their_forms(x):
    for stored in (events(x, "binary", "x"), events_like(x, (1, 4, 4), "binary", "x")):
        np.testing.assert_array_equal(stored, 255 * MASK)


def test_grey_bytes_are_no_masks():
    with pytest.raises(UserError, match=r"every value must be 0 or 255"):
        events(np.array([[0, 255, 7]], dtype=np.uint8), "binary", "x")
    with pytest.raises(UserError, match=r"row 0(, column \d)? holds 7; every value must be 0 or 1"):
        events(np.array([[0, 1, 7]], dtype=np.uint8), "binary", "x")


@pytest.mark.parametrize("domain", ["unit", "levels"])
def test_a_model_of_grey_levels_refuses_bytes_of_zero_and_one_and_both_ways_out_work(domain):
    x = MASK.astype(np.uint8)
    with pytest.raises(
        UserError, match=r"bytes of 0 and 1, which are no grey levels k/255; give 255 \* x .* or x / 255"
    ):
        events_like(x, (1, 4, 4), domain, "x")
    np.testing.assert_array_equal(floats(events_like(255 * x, (1, 4, 4), domain, "x")), MASK)
    np.testing.assert_allclose(floats(events_like(x / 255, (1, 4, 4), domain, "x")), MASK / 255, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 8, 9, 3), (5, 8, 9, 1), (5, 8, 9, 4), (5, 8, 9, 2), (5, 2, 2, 3)])
def test_channels_last_are_refused_in_a_file(shape):
    with pytest.raises(UserError, match=r"has channels last; transpose it to \(N, C, H, W\)"):
        events(np.zeros(shape), "real", "x")
    assert events(np.zeros(shape).transpose(0, 3, 1, 2), "real", "x").shape[1:] == (shape[3], *shape[1:3])


@pytest.mark.parametrize(
    ("event", "given"),
    [
        ((3, 8, 9), (5, 8, 9, 3)),  # channels last
        ((3, 8, 8), (5, 192)),  # flat, but in which order
        ((3, 8, 8), (5, 24, 8)),
        ((3, 8, 8), (5, 192, 1)),
        ((1, 8, 9), (5, 9, 8)),
        ((1, 8, 9), (5, 8, 9, 1)),
        ((1, 8, 9), (5, 1, 9, 8)),
        ((72,), (5, 8, 9)),
        ((72,), (5, 72, 1)),
        ((72,), (72,)),
        ((1, 8, 9), (0, 8, 9)),
        ((1, 8, 9), (72,)),
        ((1, 8, 9), ()),
    ],
)
def test_a_model_takes_no_other_shape_of_as_many_numbers(event, given):
    with pytest.raises(UserError, match=r"this model takes \(N, \d+"):
        events_like(np.zeros(given), event, "real", "x")


def test_a_model_of_one_channel_takes_it_left_out_or_flat():
    x = RNG.random((5, 1, 8, 9))
    for given in (x, x[:, 0], x.reshape(5, 72)):
        np.testing.assert_array_equal(events_like(given, (1, 8, 9), "unit", "x"), x.astype(np.float32))


@pytest.mark.parametrize(
    "values", [[[1, 2], [3]], np.array([["a"]]), np.array([[object()]]), np.array([[1j]]), {"a": 1}, None]
)
def test_what_are_no_numbers_are_refused(values):
    with pytest.raises(UserError, match="x: "):
        numbers(values, "x")


def test_tensors_are_arrays():
    x = torch.rand(3, 4, requires_grad=True)
    np.testing.assert_array_equal(numbers(x, "x"), x.detach())
    np.testing.assert_array_equal(numbers(x.bfloat16(), "x"), x.detach().bfloat16().float())
    view = np.broadcast_to(np.arange(3, dtype=np.uint8), (2, 3))  # not writable
    assert events(view, "levels", "x").shape == (2, 3)
