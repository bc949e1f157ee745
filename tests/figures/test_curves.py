"""Training curves: what is there, and from where on."""

from tests.support.figures import Affine, digits, draw, history
from vae_cli.figures.curves import training_curves
from vae_cli.figures.style import styled


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


def titles(rows: list[dict[str, float]]) -> list[str]:
    with styled():
        return [axes.get_title("left") for axes in training_curves(rows).axes]


def test_what_has_no_bound_shows_its_divergence_and_its_critic():
    names = ("loss", "discriminator_accuracy", "divergence")
    generator = [{"epoch": epoch, **{f"train/{name}": 0.5 for name in names}} for epoch in (1, 2)]
    assert titles(generator) == ["divergence", "accuracy of the discriminator"]
    bounded = [row | {f"train/{name}": -9.0 for name in ("elbo", "rate", "distortion")} for row in generator]
    assert titles(bounded) == ["ELBO (nats)", "distortion (nats)", "rate (nats)"]
