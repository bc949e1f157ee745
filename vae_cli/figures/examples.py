"""Inputs of figures: points of the data, their latents, the model in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily

from vae_cli.batch import Batch, first_batches
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
    """Evaluation mode, no gradients, and draws from a seed; restores modes and random streams at the end."""
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


MAX_IMAGES = 30
"""Images that are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points x (N, *event) of a data set, in its units; the other fields are known for `Examples` alone.

    Args:
        density_known: whether the data set has an exact log p(x)
        y: labels (M,), M >= N
        clusters: the component of a mixture prior with the largest responsibility, (M,)
        code_counts: how often each code of a codebook occurs, (K,)
        class_names: of the labels
    """

    x: Tensor
    domain: Domain
    density_known: bool
    y: Tensor | None = None
    clusters: Tensor | None = None
    code_counts: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    @classmethod
    def collect(
        cls, model: LatentVariableModel, data: Data, split: SplitName, device: torch.device, count: int
    ) -> Points:
        """`count` points of a split, or MAX_IMAGES images, identical for every model and seed."""
        kept = _kept(data, count)
        x = [batch.x.cpu() for batch in first_batches(_batches(data, split, device, count), kept)]
        return Points(x=_original(data, torch.cat(x)[:kept]), domain=data.domain, density_known=data.exact is not None)

    @property
    def is_image(self) -> bool:
        """True if an event is (C, H, W)."""
        return self.x.dim() == 4

    @property
    def has_directions(self) -> bool:
        """True if latents are known and z can move along one dimension, which a discrete z cannot."""
        return False


def _kept(data: Data, count: int) -> int:
    return MAX_IMAGES if len(data.event_shape) == 3 else count


def _original(data: Data, x: Tensor) -> Tensor:
    return data.standardisation.original(x) if data.standardisation else x.float()


def _batches(data: Data, split: SplitName, device: torch.device, count: int) -> Iterable[Batch]:
    """Shuffled, since a folder of images is in the order of its classes."""
    return data.loader(split, batch_size=min(count, 250), seed=0, shuffle=True, device=device)


@dataclass(frozen=True, kw_only=True)
class Examples(Points):
    """Points with their latents.

    Args:
        means: of q(z|x), (M, d)
        draws: one z ~ q(z|x) each, (M, d)
        is_continuous: whether z can move along one dimension
    """

    means: Tensor
    draws: Tensor
    is_continuous: bool

    @classmethod
    def collect(
        cls, model: LatentVariableModel, data: Data, split: SplitName, device: torch.device, count: int
    ) -> Examples:
        """Encode `count` points of a split, identical for every model and seed; keep MAX_IMAGES images."""
        kept, prior = _kept(data, count), model.prior()
        x, means, draws, y, clusters, counts = [], [], [], [], [], []
        for batch in first_batches(_batches(data, split, device, count), count):
            x.append(batch.x[: kept - sum(map(len, x))].cpu())
            encoded = model.encode(batch)
            means.append(encoded.mean.float())
            draws.append(encoded.sample().float())
            y.append(batch.y)
            if is_mixture(prior):
                clusters.append(log_responsibilities(prior, encoded).argmax(-1).cpu())
            if "codes" in model.posterior.provides:
                counts.append(cast(QuantisedDelta, encoded).counts.cpu())
        return cls(
            x=_original(data, torch.cat(x)),
            domain=data.domain,
            density_known=data.exact is not None,
            means=torch.cat(means)[:count],
            draws=torch.cat(draws)[:count],
            is_continuous=model.is_continuous,
            y=torch.cat(y)[:count].cpu() if y[0] is not None else None,
            clusters=torch.cat(clusters)[:count] if clusters else None,
            code_counts=total(counts) if counts else None,
            class_names=data.class_names,
        )

    @property
    def has_directions(self) -> bool:
        return self.is_continuous

    @property
    def activity(self) -> Tensor:
        """Activity of each dimension, Var_x E_q[z_j], (d,) (Burda et al. 2016, section 5)."""
        return self.means.var(0, unbiased=False)

    def most_active(self, count: int) -> list[int]:
        """Latent dimensions by decreasing activity."""
        return self.activity.argsort(descending=True, stable=True)[:count].tolist()


@dataclass(frozen=True)
class Inputs:
    """Everything that a figure may show.

    Args:
        model: in evaluation mode
        collected: points of the data; None where they could not be read
        history: rows of metrics.csv
        seed: of embeddings
    """

    model: LatentVariableModel
    collected: Points | None
    history: Sequence[dict[str, float]]
    seed: int

    @property
    def points(self) -> Points:
        """Points of the data."""
        assert self.collected is not None
        return self.collected

    @property
    def examples(self) -> Examples:
        """Points of the data with their latents, of a model that infers z."""
        assert isinstance(self.collected, Examples)
        return self.collected

    @property
    def mixture(self) -> MixtureSameFamily:
        """p(z), of a model with a mixture prior."""
        prior = self.model.prior()
        assert is_mixture(prior)
        return prior


def decoded(model: LatentVariableModel, z: Tensor) -> Tensor:
    """E[x|z] for z (N, d): (N, *event) on the CPU, decoded in parts that fit in memory."""
    means = torch.cat([model.decode(part[None]).mean[0].float().cpu() for part in z.split(25)])
    return model.likelihood.original(means)


@dataclass(frozen=True)
class Traversal:
    """Latents z (R, K, d): in row r, dimension dims[r] is `steps` (K,) prior deviations from its prior mean."""

    dims: list[int]
    steps: Tensor
    z: Tensor

    @classmethod
    def of(cls, model: LatentVariableModel, examples: Examples, *, rows: int, columns: int) -> Traversal:
        """From -3 to 3 through the first posterior mean, along the most active dimensions that p(x|z) reads."""
        anchor = examples.means[0]
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
    """Mean and standard deviation of each dimension, (d,); estimated by draws for flows, which have no formula."""
    try:
        return prior.mean, prior.stddev
    except NotImplementedError:
        draws = prior.sample(torch.Size((10_000,)))
        return draws.mean(0), draws.std(0)
