"""Scores of single examples."""

import torch

from vae_cli.evaluation.scores import Scores


def test_a_percentile_counts_scores_that_are_equal_up_to_rounding() -> None:
    scores = torch.tensor([-100.00001, -50.0])
    found = Scores(scores, -scores, 0 * scores).among(torch.tensor([-100.0, -40.0, -60.0, -70.0]))
    assert found.percentile is not None and found.percentile.tolist() == [25, 75]
