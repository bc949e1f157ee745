"""The numbers of an evaluation of batches that are given, with no data set behind them."""

from collections.abc import Iterable
from typing import Any

import torch

from vae_cli.batch import Batch
from vae_cli.config.schema import EvaluateConfig
from vae_cli.datasets import Data
from vae_cli.datasets.split import Split
from vae_cli.evaluation.evaluation import Evaluation
from vae_cli.evaluation.metrics.metric import Context
from vae_cli.models.model import LatentVariableModel


def context_of(
    model: LatentVariableModel, batches: Iterable[Batch], settings: EvaluateConfig, data: Data | None = None
) -> Context:
    if data is None:
        split = Split(torch.cat([batch.x for batch in batches]))
        data = Data("none", "real", split.event_shape, split, split, split)
    return Context(model, data, settings, torch.device("cpu"))


def evaluated(
    model: LatentVariableModel, batches: Iterable[Batch], settings: EvaluateConfig, data: Data | None = None
) -> dict[str, Any]:
    """All numbers by name; those of gaps and of exact answers with their prefix."""
    batches = list(batches)
    evaluation = Evaluation(context_of(model, batches, settings, data))
    for batch in batches:
        evaluation.update(batch)
    evaluation.gather()
    return {name.removeprefix("test/"): value for name, value in evaluation.compute("test").items()}
