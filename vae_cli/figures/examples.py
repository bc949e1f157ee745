"""What figures are drawn from: test examples, their codes, and a model that is left as it was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_cli.batch import Batch
from vae_cli.distributions.mixtures import is_mixture, log_responsibilities
from vae_cli.models.code_distributions import QuantisedDelta
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.trace import total
from vae_cli.types import Domain

if TYPE_CHECKING:
    from vae_cli.datasets import Data
    from vae_cli.datasets.split import SplitName


@contextmanager
def observed(model: LatentVariableModel, device: torch.device, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, random draws of their own; modes and random streams are then as they were."""
    cuda = [device] if device.type == "cuda" else []
    modes = [(module, module.training) for module in model.modules()]
    with torch.no_grad(), torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that would reach devices not forked
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


IMAGES = 30
"""Test images kept to be shown; 5,000 large ones would fill the memory."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Test points x (N, *event) in the data's own units: all that is needed where nothing is encoded."""

    x: Tensor
    domain: Domain

    @classmethod
    def collect(cls, data: Data, split: SplitName, device: torch.device, points: int) -> Points:
        """`points` points of a split, of images a few, the same ones for every model and seed."""
        shown, x = _shown(data, points), []
        for batch in _batches(data, split, device, points):
            x.append(batch.x[: shown - sum(map(len, x))].cpu())
            if sum(map(len, x)) >= shown:
                break
        return cls(x=_original(data, torch.cat(x)), domain=data.domain)

    @property
    def is_image(self) -> bool:
        """Whether an event is (C, H, W)."""
        return self.x.dim() == 4


def _shown(data: Data, points: int) -> int:
    return IMAGES if len(data.event_shape) == 3 else points


def _original(data: Data, x: Tensor) -> Tensor:
    return data.standardisation.original(x) if data.standardisation else x.float()


def _batches(data: Data, split: SplitName, device: torch.device, points: int) -> Iterable[Batch]:
    """Shuffled, for a folder of images comes class by class."""
    return data.loader(split, batch_size=min(points, 250), seed=0, shuffle=True, device=device)


@dataclass(frozen=True, kw_only=True)
class Examples(Points):
    """The same with their codes: posterior means (M, d) with M >= N, labels (M,) or None.

    draws (M, d): one z ~ q(z|x) of each; clusters (M,): the most responsible component of each, under a mixture prior;
    counts (K,): of the codes that their z are made of, if they are; class_names: of the labels, if they are names.
    """

    codes: Tensor
    draws: Tensor
    y: Tensor | None
    clusters: Tensor | None = None
    counts: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    @classmethod
    def gather(
        cls, model: LatentVariableModel, data: Data, split: SplitName, device: torch.device, points: int
    ) -> Examples:
        """Encode `points` points of a split, the same ones for every model and seed; of images keep a few."""
        shown, prior = _shown(data, points), model.prior()
        x, codes, draws, y, clusters, counts = [], [], [], [], [], []
        for batch in _batches(data, split, device, points):
            x.append(batch.x[: shown - sum(map(len, x))].cpu())
            encoded = model.encode(batch)
            codes.append(encoded.mean.float())
            draws.append(encoded.sample().float())
            if is_mixture(prior):
                clusters.append(log_responsibilities(prior, encoded).argmax(-1).cpu())
            if isinstance(encoded, QuantisedDelta):
                counts.append(encoded.counts.cpu())
            y.append(batch.y)
            if sum(map(len, codes)) >= points:
                break
        labels = torch.cat(y)[:points].cpu() if y[0] is not None else None
        assigned = torch.cat(clusters)[:points] if clusters else None
        counted = total(counts) if counts else None
        means, drawn = (torch.cat(parts)[:points] for parts in (codes, draws))
        return cls(
            x=_original(data, torch.cat(x)),
            domain=data.domain,
            codes=means,
            draws=drawn,
            y=labels,
            clusters=assigned,
            counts=counted,
            class_names=data.class_names,
        )

    @property
    def activity(self) -> Tensor:
        """Var_x E_q[z_j], (d,): how much a dimension says about x (Burda et al. 2016, section 5)."""
        return self.codes.var(0, unbiased=False)

    def most_active(self, count: int) -> list[int]:
        """The dimensions that say most, first things first."""
        return self.activity.argsort(descending=True, stable=True)[:count].tolist()


def decoded(model: LatentVariableModel, z: Tensor) -> Tensor:
    """E[x|z] for z (N, d): (N, *event) on the CPU, in pieces that fit any memory the model was trained in."""
    means = torch.cat([model.decode(part[None]).mean[0].float().cpu() for part in z.split(25)])
    return model.likelihood.original(means)


@dataclass(frozen=True)
class Traversal:
    """Codes z (R, K, d): in row r dimension dims[r] takes K values, `steps` prior deviations from its prior mean."""

    dims: list[int]
    steps: Tensor
    z: Tensor

    @classmethod
    def of(cls, model: LatentVariableModel, examples: Examples, *, rows: int, columns: int) -> Traversal:
        """Through the first example's posterior mean, along the most active dimensions that x sees, from -3 to 3."""
        anchor = examples.codes[0]
        read = set(model.read)
        dims = [j for j in examples.most_active(len(anchor)) if j in read][:rows]
        steps = torch.linspace(-3, 3, columns, device=anchor.device)
        mean, deviation = moments(model.prior())
        z = anchor.repeat(len(dims), columns, 1)
        for row, j in enumerate(dims):
            z[row, :, j] = mean[j] + steps * deviation[j]
        return cls(dims, steps.cpu(), z)

    def decoded(self, model: LatentVariableModel) -> Tensor:
        """E[x|z], (R, K, *event)."""
        x = decoded(model, self.z.flatten(0, 1))
        return x.unflatten(0, self.z.shape[:2])


def moments(prior: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, (d,); from draws where there is no formula, as for flows."""
    try:
        return prior.mean, prior.stddev
    except NotImplementedError:
        draws = prior.sample(torch.Size((10_000,)))
        return draws.mean(0), draws.std(0)
