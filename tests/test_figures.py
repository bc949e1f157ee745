"""Figures: every kind of data and latent space, exact pixels, whole files, and nothing changed by drawing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from vae_cli import figures
from vae_cli.figures.curves import training_curves
from vae_cli.figures.examples import Examples, Traversal, moments
from vae_cli.figures.plane import Plane
from vae_cli.metrics import Agreement
from vae_cli.mixtures import mixture
from vae_cli.trace import Batch

CPU = torch.device("cpu")
VIEWS = {"reconstructions", "samples", "traversals", "latent_space"}


@dataclass
class Table:
    """Data in memory, as a run holds them."""

    x: Tensor
    y: Tensor | None
    domain: str
    exact: object = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def val(self) -> Tensor:
        return self.x

    def loader(self, split: str, *, batch_size: int, seed: int, shuffle: bool, device: torch.device) -> Iterator[Batch]:
        assert split in ("val", "test")
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.x), generator=generator) if shuffle else torch.arange(len(self.x))
        for index in order.split(batch_size):
            yield Batch(self.x[index], index, None if self.y is None else self.y[index]).to(device)


class Affine(nn.Module):
    """The principal components of the data as a VAE: linear encoder and decoder, known in closed form."""

    def __init__(self, data: Table, latent_dim: int) -> None:
        super().__init__()
        x = data.x.flatten(1)
        self.event_shape = data.event_shape
        self.register_buffer("centre", x.mean(0))
        _, scale, axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)
        rank = min(latent_dim, len(scale))
        weight = torch.zeros(latent_dim, x.shape[1])
        weight[:rank] = axes[:rank] * scale[:rank, None] / len(x) ** 0.5
        self.register_buffer("weight", weight)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(latent_dim)
        self.norm.eval()

    def encode(self, batch: Batch) -> Distribution:
        inverse = torch.linalg.pinv(self.weight)
        loc = (batch.x.flatten(1) - self.centre) @ inverse
        return Independent(Normal(self.dropout(loc), 0.1), 1)

    def prior(self) -> Distribution:
        return Independent(Normal(torch.zeros(len(self.weight)), 1.0), 1)

    def decode(self, z: Tensor) -> Distribution:
        mean = self.centre + z @ self.weight
        return Independent(Normal(mean.unflatten(-1, self.event_shape), 0.1), len(self.event_shape))

    def sample(self, n: int) -> Tensor:
        return self.decode(self.prior().sample((1, n))).mean[0]


def digits(channels: int = 1, labels: bool = True) -> Table:
    x, y = load_digits(return_X_y=True)
    image = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    tint = torch.tensor([1.0, 0.6, 0.3])[:channels].view(-1, 1, 1)
    return Table(image * tint, torch.tensor(y) if labels else None, "unit")


def wine(columns: int = 13, exact: object = None) -> Table:
    x, y = load_wine(return_X_y=True)
    return Table(torch.tensor(x[:, :columns], dtype=torch.float32), torch.tensor(y), "real", exact)


def history(epochs: int) -> list[dict[str, float]]:
    rows = []
    for epoch in range(epochs):
        fall = 400 * 0.5**epoch
        rows.append({"epoch": epoch, "step": 10 * epoch, "train/elbo": -100 - fall, "train/distortion": 80 + fall})
        rows.append({"epoch": epoch, "val/elbo": -102 - fall, "val/distortion": 81 + fall, "val/rate": float("nan")})
    return rows


def draw(model: nn.Module, data: Table, rows: list[dict[str, float]], seed: int = 0) -> dict[str, Figure]:
    return figures.draw(model, data, CPU, history=rows, seed=seed)


CASES = {
    "grey": (digits(), 10, VIEWS),
    "colour": (digits(3), 2, VIEWS),
    "unlabelled, d = 1": (digits(labels=False), 1, VIEWS),
    "d = 50": (digits(), 50, VIEWS),
    "a label each": (Table(digits().x, torch.arange(1797), "unit"), 2, VIEWS),
    "a real image": (Table(digits().x * 9 - 4, torch.arange(1797) % 15, "real"), 1, VIEWS),
    "two channels": (Table(digits().x.repeat(1, 2, 1, 1), None, "unit"), 3, VIEWS),
    "three images": (Table(digits().x[:3], None, "unit"), 2, VIEWS),
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
        figure.canvas.draw()


def test_saved_files_are_whole_and_reproducible(tmp_path):
    data = digits()
    for folder in ("a", "b"):
        figures.save(draw(Affine(data, 2), data, history(20), seed=3), tmp_path / folder)
    names = {f"{name}.{kind}" for name in VIEWS | {"training_curves"} for kind in ("png", "pdf")}
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        if name.endswith("png"):
            with Image.open(tmp_path / "a" / name) as image:
                image.load()
                assert np.ptp(np.asarray(image)) > 100
        else:
            assert content.startswith(b"%PDF")
            assert content.rstrip().endswith(b"%%EOF")


def test_panels_are_the_cheap_subset():
    data = digits()
    assert set(figures.panels(Affine(data, 4), data, CPU, 0)) == {"reconstructions", "samples", "traversals"}


def test_reconstructions_show_the_decoded_posterior_means():
    data = digits()
    model = Affine(data, 5)
    axes = figures.panels(model, data, CPU, 0)["reconstructions"].axes
    batch = next(data.loader("test", batch_size=30, seed=0, shuffle=True, device=CPU))
    means = model.eval().decode(model.encode(batch).mean[None]).mean[0]
    for k, row in enumerate(axes):
        expected = figures.grid(torch.cat([batch.x[10 * k : 10 * k + 10], means[10 * k : 10 * k + 10]]), 10)
        assert np.array_equal(row.images[0].get_array(), expected)


def test_grid_is_exact_to_the_pixel():
    x = torch.tensor([[[[0.0, 1.0], [0.5, 2.0]]], [[[0.25, 0.1], [-1.0, torch.nan]]], [[[1.0, 1.0], [0.0, 0.0]]]])
    expected = [
        [0, 255, 255, 64, 26],
        [128, 255, 255, 0, 0],
        [255, 255, 255, 255, 255],
        [255, 255, 255, 255, 255],
        [0, 0, 255, 255, 255],
    ]
    assert figures.grid(x, 2).tolist() == expected
    assert figures.grid(x, 2).dtype == np.uint8


def test_grid_in_colour_and_a_gap_that_grows_with_the_image(tmp_path):
    x = torch.rand(4, 3, 20, 32)
    canvas = figures.grid(x, 3)
    assert canvas.shape == (20 + 2 + 20, 32 + 2 + 32 + 2 + 32, 3)
    assert np.array_equal(canvas[22:, :32], (255 * x[3]).round().byte().permute(1, 2, 0).numpy())
    assert (canvas[:, 32:34] == 255).all()
    assert (canvas[20:, 34:] == 255).all()
    figures.save_grid(x, tmp_path / "new" / "x.png", 3)
    with Image.open(tmp_path / "new" / "x.png") as image:
        assert np.array_equal(np.asarray(image), canvas)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.png"]


def test_a_square_grid_unless_told_otherwise(tmp_path):
    figures.save_grid(torch.zeros(7, 1, 8, 8), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert (image.mode, image.size) == ("L", (26, 26))


def test_drawing_changes_no_random_stream_no_mode_and_no_weight():
    data = wine(exact="known")
    model = Affine(data, 3)
    model.train()
    model.norm.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    draw(model, data, history(2), seed=1)
    figures.panels(model, data, CPU, 2)
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
        figures.panels(model, data, CPU, 0)
    assert model.training
    assert torch.equal(before, torch.get_rng_state())


def test_samples_depend_on_the_seed_only():
    data = digits()
    model = Affine(data, 3)
    first, again, other = (
        figures.panels(model, data, CPU, seed)["samples"].axes[0].images[0].get_array() for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_traversals_run_along_the_most_active_dimensions_from_minus_three_to_three():
    data = wine()
    model = Affine(data, 12).eval()
    with torch.no_grad():
        model.weight[:] = model.weight.flip(0)
        examples = Examples.gather(model, data, "test", CPU, 100)
        path = Traversal.of(model, examples, rows=10, columns=7)
    variance = examples.codes.numpy().var(0)
    assert path.dims == np.argsort(-variance, kind="stable")[:10].tolist()
    assert path.steps.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    for row, j in enumerate(path.dims):
        others = [k for k in range(12) if k != j]
        assert torch.equal(path.z[row, :, j], path.steps)
        assert torch.equal(path.z[row][:, others], examples.codes[0, others].expand(7, -1))


def test_moments_of_a_prior_by_formula_or_from_draws():
    mixture = MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(2)),
        MultivariateNormal(torch.tensor([[-3.0, 1.0], [3.0, 1.0]]), torch.eye(2)),
    )
    mean, deviation = moments(mixture)
    torch.testing.assert_close(mean, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(deviation, torch.tensor([10.0, 1.0]).sqrt())
    torch.manual_seed(0)
    flow = torch.distributions.TransformedDistribution(
        Normal(torch.zeros(2), 1.0), [torch.distributions.AffineTransform(2.0, 3.0)]
    )
    mean, deviation = moments(flow)
    torch.testing.assert_close(mean, torch.full((2,), 2.0), atol=0.15, rtol=0)
    torch.testing.assert_close(deviation, torch.full((2,), 3.0), atol=0.15, rtol=0)


def test_a_plane_is_the_two_dimensions_or_the_two_largest_components():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2000, 2, generator=generator)
    assert torch.equal(torch.tensor(Plane(points, "z")(points)), points)
    wide = torch.randn(2000, 5, generator=generator) * torch.tensor([0.1, 3.0, 0.1, 1.0, 0.1])
    plane = Plane(wide, "z")
    covariance = np.cov(wide.numpy().T)
    top = np.sort(np.linalg.eigvalsh(covariance))[::-1][:2]
    np.testing.assert_allclose(plane(wide).var(0, ddof=1), top, rtol=1e-4)
    assert plane.labels[0] == f"principal component 1 ({top[0] / np.trace(covariance):.0%} of variance)"


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


def test_training_curves_draw_what_is_there():
    data = digits()
    model = Affine(data, 2)
    assert "training_curves" not in draw(model, data, [])
    assert "training_curves" not in draw(model, data, [{"epoch": 1, "lr": 0.1}])
    axes = draw(model, data, history(30))["training_curves"].axes
    assert [one.get_title("left") for one in axes] == ["ELBO (nats)", "distortion (nats)"]
    train, val = axes[0].get_lines()
    assert list(train.get_xdata()) == list(range(30))
    assert list(val.get_ydata()) == [-102 - 400 * 0.5**epoch for epoch in range(30)]
    autoencoder = [{"epoch": epoch, "train/loss": 3.0 - epoch} for epoch in (1, 2)]
    (loss,) = draw(model, data, autoencoder)["training_curves"].axes
    assert loss.get_title("left") == "loss"


def test_draws_outside_the_frame_are_stated():
    data = wine(1)
    model = Affine(data, 1)
    model.prior = lambda: Independent(Normal(torch.full((1,), 100.0), 1.0), 1)
    titles = [axes.get_title("left") for axes in figures.panels(model, data, CPU, 0)["samples"].axes]
    assert titles == ["data", "model (100.0% outside the frame)"]


def test_training_curves_leave_pretraining_out_and_mark_where_phases_change():
    rows = [{"epoch": e, "phase": 1, "train/distortion": 900.0, "val/elbo": -900.0} for e in (1.0, 2.0)]
    rows += [
        {"epoch": e, "phase": 2 + (e > 4), "train/elbo": -100.0 - e, "train/distortion": 80.0, "val/elbo": -99.0}
        for e in (3.0, 4.0, 5.0)
    ]
    figure = training_curves(rows)
    axes = figure.axes[0]
    lines = [line.get_xdata() for line in axes.get_lines()]
    assert [list(x) for x in lines[:2]] == [[3.0, 4.0, 5.0]] * 2
    assert [list(x) for x in lines[2:]] == [[4.5, 4.5]]


CLUSTERED = {"component_means", "clusters"}
MIXTURES = {
    "images": (digits(), 4, CLUSTERED | {"component_samples", "confusion"}),
    "unlabelled": (digits(labels=False), 2, CLUSTERED | {"component_samples"}),
    "table": (wine(), 3, CLUSTERED | {"confusion"}),
    "one dimension": (wine(2), 1, CLUSTERED | {"confusion"}),
}


@pytest.mark.parametrize("case", MIXTURES)
def test_a_mixture_shows_its_components(case, tmp_path):
    data, latent_dim, names = MIXTURES[case]
    model = Affine(data, latent_dim)
    prior = mixture(torch.zeros(3), 2 * torch.randn(3, latent_dim), torch.ones(3, latent_dim))
    model.prior = lambda: prior
    drawn = draw(model, data, history(1))
    assert set(drawn) == VIEWS | {"training_curves"} | names
    if "confusion" in names:
        title = drawn["confusion"].axes[0].get_title("left")
        examples = Examples.gather(model.eval(), data, "test", CPU, 5000)
        accuracy = Agreement.of(examples.clusters.numpy(), examples.y.numpy()).accuracy
        assert f"accuracy {accuracy:.1%} of these" in title
    figures.save(drawn, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == set(drawn)
