import itertools
import math

import numpy as np
import pytest
import torch

from vae_cli.evaluation.metrics import Agreement, Clusters, contingency


def test_accuracy_is_that_of_the_best_naming_of_the_clusters():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    clusters = np.where(rng.random(60) < 0.4, rng.integers(0, 4, 60), (labels + 1) % 4)
    best = max(np.mean(np.array(names)[clusters] == labels) for names in itertools.permutations(range(4)))
    agreement = Agreement.of(clusters, labels)
    assert agreement.accuracy == pytest.approx(best)
    assert agreement.accuracy_se == pytest.approx(math.sqrt(best * (1 - best) / 60))


def test_names_do_not_matter_and_a_split_cluster_costs_its_smaller_part():
    labels = np.repeat([0, 1, 2], 10)
    assert Agreement.of((labels + 1) % 3, labels)[::2] == (1.0, pytest.approx(1.0))
    assert Agreement.of((labels + 1) % 3, labels).ari == 1.0
    split = labels.copy()
    split[:4] = 3
    assert Agreement.of(split, labels).accuracy == pytest.approx(26 / 30)
    assert contingency(split, labels).sum() == 30


def test_labels_may_be_any_numbers():
    labels = np.repeat([10**15, 7, 2**40], 10)
    assert contingency(np.repeat([2, 0, 1], 10), labels).shape == (3, 3)
    assert Agreement.of(np.repeat([2, 0, 1], 10), labels).accuracy == 1


def test_clusters_are_the_same_in_any_batches():
    gamma = torch.randn(30, 4).log_softmax(-1)
    labels = torch.arange(30) % 3
    whole, parts = Clusters(), Clusters()
    whole.update(gamma, labels)
    for piece in torch.arange(30).split(7):
        parts.update(gamma[piece], labels[piece])
    assert whole.compute() == parts.compute()
    result = whole.compute()
    assert result.entropy == pytest.approx(
        torch.distributions.Categorical(logits=gamma).entropy().mean().item(), abs=1e-6
    )
    assert result.occupancy == pytest.approx((np.bincount(gamma.argmax(-1), minlength=4) / 30).tolist())


def test_without_labels_there_is_no_agreement():
    clusters = Clusters()
    clusters.update(torch.full((5, 2), -torch.inf).index_fill(1, torch.tensor([0]), 0.0), None)
    result = clusters.compute()
    assert result.agreement is None and result.entropy == 0 and result.occupancy == [1.0, 0.0]
