"""Generated data whose log p(x) is known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from vae_cli.datasets.dataset import Dataset, Source
from vae_cli.datasets.parameters import GaussianMixtureParameters, LinearGaussianParameters, Parameters
from vae_cli.datasets.split import Split
from vae_cli.types import Domain, EventKind, PositiveFloat, PositiveInt, Seed


@dataclass(frozen=True, kw_only=True)
class Synthetic(Dataset):
    """Real vectors x (D,) from a known density.

    Args:
        dim: D
        train_size: training vectors, before validation vectors are held out
        test_size: test vectors
        data_seed: seed of the parameters and of all x
        binarize: none; accepted because presets set it
    """

    dim: PositiveInt
    train_size: PositiveInt
    test_size: PositiveInt
    data_seed: Seed
    binarize: Literal["none"] = "none"  # accepted for presets with dataset.binarize=none

    domain: ClassVar[Domain] = "real"
    layout: ClassVar[EventKind] = "vector"

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.data_seed)

    def _source(self, x: Tensor, y: Tensor | None, parameters: Parameters) -> Source:
        n = self.train_size
        train, test = (
            Split(x[part].float(), None if y is None else y[part]) for part in (slice(None, n), slice(n, None))
        )
        return Source(self.domain, train, test, parameters.marginal(), parameters)


@dataclass(frozen=True, kw_only=True)
class LinearGaussian(Synthetic):
    """x = W z + b + s eps, probabilistic PCA; the columns of W share a direction, so p(z|x) is correlated.

    Args:
        latent_dim: d, the dimension of z
        noise: s, the standard deviation of x given z
    """

    latent_dim: PositiveInt
    noise: PositiveFloat

    name: ClassVar[str] = "linear_gaussian"

    def read(self) -> Source:
        """Draw W, b, then all x."""
        g, double = self._generator(), torch.float64
        shared = torch.randn(self.dim, 1, generator=g, dtype=double)
        weight = shared + torch.randn(self.dim, self.latent_dim, generator=g, dtype=double)
        bias = torch.randn(self.dim, generator=g, dtype=double)
        size = self.train_size + self.test_size
        z = torch.randn(size, self.latent_dim, generator=g, dtype=double)
        eps = torch.randn(size, self.dim, generator=g, dtype=double)
        x = z @ weight.T + bias + self.noise * eps
        return self._source(x, None, LinearGaussianParameters(weight, bias, self.noise))


@dataclass(frozen=True, kw_only=True)
class GaussianMixture(Synthetic):
    """K Gaussians with diagonal covariances of about one; labels are the components.

    Args:
        components: K
        spread: standard deviation of the means of the components
    """

    components: PositiveInt
    spread: PositiveFloat

    name: ClassVar[str] = "gaussian_mixture"

    def read(self) -> Source:
        """Draw weights, means and scales, then all components, then all x."""
        g, double = self._generator(), torch.float64
        weights = torch.softmax(torch.randn(self.components, generator=g, dtype=double) / 2, 0)
        means = self.spread * torch.randn(self.components, self.dim, generator=g, dtype=double)
        scales = torch.exp(torch.randn(self.components, self.dim, generator=g, dtype=double) / 4)
        size = self.train_size + self.test_size
        y = torch.multinomial(weights, size, replacement=True, generator=g)
        x = means[y] + scales[y] * torch.randn(size, self.dim, generator=g, dtype=double)
        return self._source(x, y, GaussianMixtureParameters(weights, means, scales))


@dataclass(frozen=True, kw_only=True)
class TwoPoints(Synthetic):
    """x = (1, ..., 1) or -x, half of the data each; the ELBO overfits them (Zhao et al. 2019, section 2)."""

    name: ClassVar[str] = "two_points"

    def read(self) -> Source:
        """The points in turn; they have no density."""
        y = torch.arange(self.train_size + self.test_size) % 2
        x = (2.0 * y - 1).unsqueeze(1).expand(-1, self.dim)
        train, test = (Split(x[part], y[part]) for part in (slice(None, self.train_size), slice(self.train_size, None)))
        return Source(self.domain, train, test)
