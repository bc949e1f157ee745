import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.image_folders import draw, filled, folder
from vae_cli.datasets.images import ImageFiles, decode
from vae_cli.datasets.support import check_data
from vae_cli.errors import ConfigError, UserError

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


@pytest.fixture
def images(tmp_path):
    return filled(tmp_path)


def test_subfolders_are_labels_and_pixels_are_kept(images):
    data = folder(images).load()
    assert (len(data.train), len(data.val), len(data.test)) == (7, 2, 3)
    assert data.event_shape == (1, 8, 8) and data.domain == "levels" and data.classes == 2
    stored = {np.array(Image.open(p)).tobytes(): "ab".index(p.parent.name) for p in images.glob("?/[!.]*.png")}
    for split in (data.train, data.val, data.test):
        assert isinstance(split.x, torch.Tensor) and split.y is not None
        assert [stored[x.numpy().tobytes()] for x in split.x] == split.y.tolist()


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
def test_every_example_knows_its_file(images, memory_gb):
    data = folder(images, memory_gb=memory_gb).load()
    for split in (data.train, data.val, data.test):
        assert split.files is not None
        (x,) = split.batches([torch.arange(len(split))])
        for pixels, file in zip(x, split.files, strict=True):
            assert np.array_equal(pixels[0], np.array(Image.open(images / file)))


def test_train_and_test_folders_are_the_splits(tmp_path):
    for i in range(4):
        draw(tmp_path / "train" / f"{i}.png", (9, 12, 3))
    pixels = draw(tmp_path / "test" / "0.png", (8, 8, 3))
    data = folder(tmp_path, channels="rgb", val_size=1).load()
    assert (len(data.train), len(data.test), data.event_shape, data.classes) == (3, 1, (3, 8, 8), None)
    np.testing.assert_array_equal(data.test.x[torch.tensor([0])][0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
def test_streaming_gives_the_same_batches_and_state_as_memory(images, binarize, workers):
    kept = folder(images, binarize=binarize).load()
    streamed = folder(images, binarize=binarize, memory_gb=1e-9, workers=workers).load()
    assert isinstance(streamed.train.x, ImageFiles) and streamed.event_shape == kept.event_shape
    a, b = (d.loader("train", batch_size=3, seed=1, shuffle=True, device=CPU) for d in (kept, streamed))
    state = torch.get_rng_state()
    next(iter(b))
    resumed = streamed.loader("train", batch_size=3, seed=1, shuffle=True, device=CPU)
    resumed.load_state_dict(b.state_dict())
    one, two = list(a), list(resumed)
    assert torch.equal(torch.get_rng_state(), state) and len(two) == len(one) - 1
    for p, q in zip(one[1:], two, strict=True):
        assert torch.equal(p.index, q.index) and q.x.shape == p.x.shape
        assert torch.equal(p.x, q.x)
        assert binarize == "none" or set(q.x.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("binarize", "split"), [("dynamic", "val"), ("dynamic", "test"), ("static", "train")])
def test_drawn_images_depend_on_their_names_and_the_seed_alone(images, binarize, split):
    def drawn(memory_gb, workers, batch_size, processes):
        data = folder(images, binarize=binarize, memory_gb=memory_gb, workers=workers, val_size=3).load()
        settings = {"batch_size": batch_size, "seed": 0, "shuffle": False, "device": CPU, "processes": processes}
        parts = [list(data.loader(split, rank=rank, **settings)) for rank in range(processes)]
        rows = {int(i): x for part in parts for b in part for i, x in zip(b.index, b.x, strict=True)}
        return torch.stack([rows[i] for i in range(len(rows))])

    expected = drawn(1.0, 0, 3, 1)
    assert set(expected.unique().tolist()) == {0.0, 1.0}
    for settings in [(1.0, 2, 3, 1), (1e-9, 0, 1, 1), (1e-9, 2, 2, 1), (1.0, 0, 2, 2), (1e-9, 0, 3, 2)]:
        assert torch.equal(drawn(*settings), expected), settings


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Validation", "TEST"), ("train", "valid", "test")]
)
def test_a_validation_folder_is_the_validation_set(tmp_path, capsys, names, memory_gb):
    pixels = {}
    for name, count in zip(names, (5, 3, 2), strict=True):
        for i in range(count):
            pixels[f"{name}/{'ab'[i % 2]}/{i}.png"] = draw(tmp_path / name / "ab"[i % 2] / f"{i}.png")
    data = folder(tmp_path, val_size=4, memory_gb=memory_gb).load()
    assert "dataset.val_size does not apply" in capsys.readouterr().out
    for split, name, count in zip((data.train, data.val, data.test), names, (5, 3, 2), strict=True):
        assert len(split) == count and split.files is not None and all(file.startswith(name) for file in split.files)
        (x,) = split.batches([torch.arange(count)])
        for one, y, file in zip(x, split.y.tolist(), split.files, strict=True):
            assert np.array_equal(one[0], pixels[file]) and f"/{'ab'[y]}/" in file
    with pytest.raises(
        UserError, match=r"dataset\.val_size=0 asks for no validation data, but .* 3 validation examples"
    ):
        folder(tmp_path, val_size=0).load()


def test_a_second_validation_folder_is_refused_and_images_beside_the_splits_are_told(tmp_path, capsys):
    for name in ("train/a/0.png", "train/a/1.png", "test/a/0.png", "val/a/0.png", "extra/a/0.png", "stray.png"):
        draw(tmp_path / name)
    assert len(folder(tmp_path).load().val) == 1
    assert "2 unused images beside test, train, val, such as stray.png" in capsys.readouterr().err
    draw(tmp_path / "valid" / "0.png")
    with pytest.raises(UserError, match="two folders for one split"):
        folder(tmp_path).load()


def test_folders_named_valid_and_invalid_are_labels(tmp_path):
    for i in range(8):
        draw(tmp_path / ("valid", "invalid")[i % 2] / f"{i}.png")
    data = folder(tmp_path, val_size=1).load()
    assert data.class_names == ("invalid", "valid") and data.classes == 2


def test_a_label_of_the_validation_folder_must_be_known(tmp_path):
    for name in ("train/a/0.png", "test/a/0.png", "val/b/0.png"):
        draw(tmp_path / name)
    with pytest.raises(UserError, match=r"val/b/0\.png: lies in none of the labels' folders \(a\)"):
        folder(tmp_path, val_size=1).load()


@pytest.mark.parametrize(("background", "ground"), [("white", 255), ("black", 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P bytes", "L", "RGB", "GIF"])
def test_transparent_pixels_show_the_background(tmp_path, mode, background, ground):
    colours = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    alpha = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    index = RNG.integers(0, 3, (8, 8), dtype=np.uint8)
    palette = np.array([[10, 20, 30], [200, 100, 50], [0, 255, 0]], np.uint8)
    path, options = tmp_path / ("image.gif" if mode == "GIF" else "image.png"), {}
    if mode == "RGBA":
        image = Image.fromarray(np.dstack([colours, alpha]))
    elif mode == "LA":
        image, colours = Image.fromarray(np.dstack([colours[..., 0], alpha])), colours[..., :1].repeat(3, -1)
    elif mode == "L":
        image, options = Image.fromarray(index), {"transparency": 1}
        colours, alpha = index[..., None].repeat(3, -1), 255 * (index != 1)
    elif mode == "RGB":
        colours, options = palette[index], {"transparency": tuple(palette[1].tolist())}
        image, alpha = Image.fromarray(colours), 255 * (index != 1)
    else:
        image = Image.fromarray(index, "P")
        image.putpalette(palette.tobytes())
        colours = palette[index]
        opacities = np.array([0, 128, 255] if mode == "P bytes" else [255, 0, 255])
        options = {"transparency": opacities.astype(np.uint8).tobytes() if mode == "P bytes" else 1}
        alpha = opacities[index]
    image.save(path, **options)
    share = alpha[..., None] / 255
    expected = colours * share + ground * (1 - share)
    seen = decode(path, 8, "rgb", background).permute(1, 2, 0).double().numpy()
    assert abs(seen - expected).max() <= 1


def test_the_background_is_a_key_of_the_data(tmp_path):
    for i in range(6):
        Image.new("LA", (8, 8), (90, 0)).save(tmp_path / f"{i}.png")
    for background, value in (("white", 255), ("black", 0)):
        for memory_gb in (1.0, 1e-9):
            (x,) = folder(tmp_path, background=background, memory_gb=memory_gb).load().train.batches([torch.arange(3)])
            assert x.unique().tolist() == [value]


@pytest.mark.parametrize("memory_gb", [1.0, 1e-9])
@pytest.mark.parametrize("binarize", ["none", "dynamic", "static", "threshold"])
def test_images_of_zero_and_one_are_no_grey_levels(tmp_path, binarize, memory_gb):
    mask = np.eye(8, dtype=np.uint8)
    for i in range(6):
        Image.fromarray(mask).save(tmp_path / f"{i}.png")
    options = {"binarize": binarize, "memory_gb": memory_gb, "workers": 0, "val_size": 1}
    with pytest.raises(ConfigError, match=r"bytes of 0 and 1.*store 0 and 255, or .*dataset\.domain=binary"):
        check_data(folder(tmp_path, **options).load(), "dataset x")
    for i in range(6):
        Image.fromarray(255 * mask).save(tmp_path / f"{i}.png")
    data = check_data(folder(tmp_path, **options).load(), "dataset x")
    (batch,) = data.loader("test", batch_size=9, seed=0, shuffle=False, device=CPU)
    np.testing.assert_array_equal(batch.x[0, 0], mask)


def test_images_of_one_bit_are_black_and_white(tmp_path):
    mask = np.eye(8, dtype=bool)
    for i in range(6):
        Image.fromarray(mask).save(tmp_path / f"{i}.png")
    data = check_data(folder(tmp_path, val_size=1, binarize="threshold").load(), "dataset x")
    np.testing.assert_array_equal(data.train.x[0, 0], 255 * mask)
