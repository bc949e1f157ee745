"""Figures: every kind of data and latent space, exact pixels, whole files, and nothing changed by drawing."""

import random

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch.distributions import Independent, Normal

from tests.support.figures import CPU, VIEWS, Affine, Table, digits, draw, history, wine
from vae_cli.figures import drawing, style, tiles

CASES = {
    "grey": (digits(), 10, VIEWS),
    "colour": (digits(3), 2, VIEWS),
    "unlabelled, d = 1": (digits(labels=False), 1, VIEWS),
    "d = 50": (digits(), 50, VIEWS),
    "a label each": (Table(digits().x, torch.arange(1797), "unit"), 2, VIEWS),
    "a real image": (Table(digits().x * 9 - 4, torch.arange(1797) % 15, "real"), 1, VIEWS),
    "two channels": (Table(digits().x.repeat(1, 2, 1, 1), None, "unit"), 3, VIEWS),
    "three images": (Table(digits().x[:3], None, "unit"), 2, VIEWS),
    "one image": (Table(digits().x[:1], None, "unit"), 3, VIEWS),
    "one row": (Table(wine().x[:1], None, "real"), 6, VIEWS),
    "table": (wine(), 6, VIEWS),
    "two columns": (wine(2, exact="known"), 2, VIEWS | {"density"}),
    "one column": (wine(1, exact="known"), 1, VIEWS),
    "density": (wine(exact="known"), 12, VIEWS | {"density"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_data_and_latent_space_is_drawn(case, tmp_path):
    data, latent_dim, names = CASES[case]
    drawn = draw(Affine(data, latent_dim), data, history(1))
    assert set(drawn) == names | {"training_curves"}
    for figure in drawn.values():
        figure.set_dpi(30)
        figure.canvas.draw()


def test_saved_files_are_whole_and_reproducible(tmp_path):
    data = digits()
    first, again = (draw(Affine(data, 2), data, history(2), seed=3) for _ in range(2))
    drawing.save(first, tmp_path / "a")
    drawing.save({"latent_space": again["latent_space"]}, tmp_path / "b")
    names = {f"{name}.{kind}" for name in VIEWS | {"training_curves"} for kind in ("png", "pdf")}
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    for path in (tmp_path / "b").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        if name.endswith("png"):
            with Image.open(tmp_path / "a" / name) as image:
                image.load()
                assert np.ptp(np.asarray(image)) > 100
        else:
            assert content.startswith(b"%PDF")
            assert content.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("data", [digits(), digits(3), wine(), wine(1)])
def test_snapshots_are_samples_and_reconstructions(data):
    model = Affine(data, 4)
    first, again, other = (drawing.snapshots(model, data, CPU, seed) for seed in (0, 0, 1))
    assert set(first) == ({"reconstructions", "samples"} if len(data.event_shape) == 3 else {"samples"})
    assert all(image.mode in ("L", "RGB") and image.width >= 300 for image in first.values())
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["samples"].tobytes() != other["samples"].tobytes()
    assert first.get("reconstructions") == other.get("reconstructions")


def test_a_snapshot_shows_the_pixels_of_the_figure():
    data = digits()
    image = drawing.snapshots(Affine(data, 4), data, CPU, 0)["samples"]
    scale = image.width // (10 * 9 - 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.cat([Affine(data, 4).eval().sample(10) for _ in range(10)])
    assert np.array_equal(np.asarray(image)[::scale, ::scale], tiles.grid(x, 10))


def test_reconstructions_show_the_decoded_posterior_means():
    data = digits()
    model = Affine(data, 5)
    axes = draw(model, data, [])["reconstructions"].axes
    batch = next(data.loader("test", batch_size=30, seed=0, shuffle=True, device=CPU))
    means = model.eval().decode(model.encode(batch).mean[None]).mean[0]
    for k, row in enumerate(axes):
        expected = tiles.grid(torch.cat([batch.x[10 * k : 10 * k + 10], means[10 * k : 10 * k + 10]]), 10)
        assert np.array_equal(row.images[0].get_array(), expected)


def test_drawing_changes_no_random_stream_no_mode_and_no_weight():
    data = wine(exact="known")
    model = Affine(data, 3)
    model.train()
    model.norm.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    draw(model, data, history(2), seed=1)
    drawing.snapshots(model, data, CPU, 2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())
    assert [module.training for module in model.modules()] == [True, True, False]
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None and not value.requires_grad for value in model.buffers())


def test_the_state_returns_after_a_failure():
    data = digits()
    model = Affine(data, 3)
    model.decode = None
    before = torch.get_rng_state()
    with pytest.raises(TypeError):
        drawing.snapshots(model, data, CPU, 0)
    assert model.training
    assert torch.equal(before, torch.get_rng_state())


def test_a_collapsed_posterior_is_drawn():
    data = digits()
    model = Affine(data, 5)
    model.encode = lambda batch: Independent(Normal(torch.zeros(len(batch), 5), 1.0), 1)
    drawn = draw(model, data, [])
    assert drawn["latent_space"].axes[0].get_xlabel() == "principal component 1 (0% of variance)"


def test_the_legend_names_the_labels():
    data = digits()
    legend = draw(Affine(data, 2), data, [])["latent_space"].axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [str(k) for k in range(10)]


@pytest.mark.parametrize(("classes", "latent_dim"), [(10, 2), (10, 1), (25, 2)])
def test_labels_are_shown_by_their_names(classes, latent_dim):
    names = ["_$x$ y", *(f"{chr(97 + k)}-kind" for k in range(1, classes))]
    data = Table(digits().x, torch.arange(1797) % classes, "unit", class_names=tuple(names))
    figure = draw(Affine(data, latent_dim), data, [])["latent_space"]
    figure.canvas.draw()
    if classes == 10:
        texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert texts == [r" _\$x\$ y", *names[1:]]
    else:
        texts = [text.get_text() for text in figure.axes[1].get_yticklabels() if text.get_text()]
        assert len(texts) > 3 and set(texts) <= {r" _\$x\$ y", *names[1:]}


def test_draws_outside_the_frame_are_stated():
    data = wine(1)
    model = Affine(data, 1)
    model.prior = lambda: Independent(Normal(torch.full((1,), 100.0), 1.0), 1)
    titles = [axes.get_title("left") for axes in draw(model, data, [])["samples"].axes]
    assert titles == ["data", "model (100.0% outside the frame)"]


@pytest.mark.parametrize("beyond", [False, True])
def test_a_png_has_a_narrow_white_border_around_all_content(beyond, tmp_path):
    figure = Figure(figsize=(1, 1))
    width = 0.6 if beyond else 0.2
    figure.patches.append(Rectangle((0.7, 0.4), width, 0.2, transform=figure.transFigure, color="k", lw=0))
    with style.styled(), (tmp_path / "x.png").open("wb") as file:
        style.write_png(figure, file)
    with Image.open(tmp_path / "x.png") as image:
        dark = np.asarray(image.convert("L")) < 128
    rows, columns = np.nonzero(dark.any(1))[0], np.nonzero(dark.any(0))[0]
    assert np.ptp(columns) + 1 == pytest.approx(200 * width, abs=2)
    assert np.ptp(rows) + 1 == pytest.approx(40, abs=2)
    white = rows[0], columns[0], dark.shape[0] - 1 - rows[-1], dark.shape[1] - 1 - columns[-1]
    if not beyond:  # savefig measures the whole canvas, too
        assert white == pytest.approx((4, 4, 4, 4), abs=1)
