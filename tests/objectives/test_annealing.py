import pytest
import torch

from vae_cli.objectives.annealing import CyclicalAnnealing, LinearAnnealing

CYCLES = {"weights": None, "start": 0.0, "epochs": 4.0, "cycles": 3, "rise": 0.5}


@pytest.mark.parametrize(("epoch", "factor"), [(0, 0.1), (1, 0.325), (2, 0.55), (4, 1.0), (100, 1.0)])
def test_a_linear_factor_rises_from_its_start_to_one(epoch, factor):
    assert LinearAnnealing(weights=None, start=0.1, epochs=4).factor(
        "beta", torch.tensor(epoch, dtype=torch.float64)
    ) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 0.0), (1, 0.5), (2, 1.0), (3.9, 1.0), (4, 0.0), (5, 0.5), (9.5, 0.75), (12, 1.0), (13, 1.0)],
)
def test_a_cyclical_factor_starts_again_with_each_cycle_until_the_last(epoch, factor):
    assert CyclicalAnnealing(**CYCLES).factor("beta", torch.tensor(epoch, dtype=torch.float64)) == pytest.approx(factor)


def test_only_the_named_weights_change():
    annealing = LinearAnnealing(weights=["divergence"], start=0.0, epochs=4)
    assert (annealing.factor("divergence", torch.tensor(0.0)), annealing.factor("rate", torch.tensor(0.0))) == (
        0.0,
        1.0,
    )
