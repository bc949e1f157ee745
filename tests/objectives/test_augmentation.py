import pytest
import torch

from vae_cli.objectives.augmentation import jittered, masked


def test_masking_sets_a_share_of_the_entries_to_zero():
    x = torch.ones(50, 1, 20, 20)
    assert masked(x, 0.0) is x
    assert masked(x, 0.3).mean().item() == pytest.approx(0.7, abs=0.02)
    assert masked(x, 1.0).sum() == 0


def test_jitter_moves_images_and_invents_no_values():
    x = torch.zeros(400, 1, 28, 28)
    x[:, :, 12:16, 12:16] = 1.0
    moved = jittered(x, 0.5)
    assert moved.shape == x.shape and set(moved.unique().tolist()) == {0.0, 1.0}
    assert moved.sum((1, 2, 3)).mean().item() == pytest.approx(16, abs=1)
    axis = torch.arange(28.0)
    centres = torch.stack([(moved.sum((1, 2)) * axis).sum(-1), (moved.sum((1, 3)) * axis).sum(-1)]) / moved.sum(
        (1, 2, 3)
    )
    assert (centres - 13.5).abs().max() < 3.5  # at most two pixels, and the rounding
    assert centres.std(1).min() > 0.8


@pytest.mark.parametrize(("x", "amount"), [(torch.randn(5, 7), 0.5), (torch.randn(5, 1, 4, 4), 0.0)])
def test_vectors_and_an_amount_of_zero_are_left_alone(x, amount):
    assert jittered(x, amount) is x
