import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.configs import composed
from tests.support.evaluation import evaluated
from tests.support.models import binary_images, mixture_vae
from vae_cli.batch import Batch
from vae_cli.distributions.mixtures import log_responsibilities
from vae_cli.evaluation.metrics.clusters import Agreement, contingency
from vae_cli.models import posteriors


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


def clusters(labels: torch.Tensor | None, size: int) -> dict[str, Any]:
    """The numbers of the clusters of a model whose code of x is x itself, in batches of this size."""
    torch.manual_seed(0)
    model, _, _ = mixture_vae(4, posteriors.Deterministic)
    x = binary_images(30)
    batch = Batch(x, torch.arange(30), labels)
    numbers = evaluated(model, batch.split(size), composed("dataset=digits", "model=ae").evaluate)
    gamma = log_responsibilities(model.prior(), model.encode(batch))
    return {"log_gamma": gamma, **{name: value for name, value in numbers.items() if name.startswith("cluster_")}}


def test_clusters_are_the_same_in_any_batches() -> None:
    labels = torch.arange(30) % 3
    whole, parts = clusters(labels, 30), clusters(labels, 7)
    gamma = whole.pop("log_gamma")
    parts.pop("log_gamma")
    assert parts.keys() == whole.keys()
    assert all(parts[name] == pytest.approx(whole[name], abs=1e-6) for name in whole)
    entropy = torch.distributions.Categorical(logits=gamma).entropy().mean().item()
    assert whole["cluster_entropy"] == pytest.approx(entropy, abs=1e-5)
    assert whole["cluster_occupancy"] == pytest.approx((np.bincount(gamma.argmax(-1), minlength=4) / 30).tolist())
    assert whole["cluster_accuracy"] == Agreement.of(gamma.argmax(-1).numpy(), labels.numpy()).accuracy


def test_without_labels_there_is_no_agreement() -> None:
    found = clusters(None, 30)
    assert "cluster_occupancy" in found and "cluster_accuracy" not in found
