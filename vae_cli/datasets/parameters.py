"""Parameters of the densities that generated data come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from vae_cli.distributions.gaussians import linear_gaussian_marginal


@dataclass(frozen=True)
class LinearGaussianParameters:
    """x = W z + b + s eps with z, eps standard normal: weight W (D, d), bias b (D,), noise s; float64."""

    weight: Tensor
    bias: Tensor
    noise: float

    def marginal(self) -> MultivariateNormal:
        """p(x) = N(b, W W^T + s^2 I)."""
        return linear_gaussian_marginal(self.weight, self.bias, torch.full_like(self.bias, self.noise))


@dataclass(frozen=True)
class GaussianMixtureParameters:
    """Weights (K,), means (K, D) and standard deviations (K, D) of a mixture of diagonal Gaussians; float64."""

    weights: Tensor
    means: Tensor
    scales: Tensor

    def marginal(self) -> MixtureSameFamily:
        """p(x) = sum_k w_k N(x; m_k, diag s_k^2)."""
        return MixtureSameFamily(Categorical(self.weights), Independent(Normal(self.means, self.scales), 1))


Parameters = LinearGaussianParameters | GaussianMixtureParameters
