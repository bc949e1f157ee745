"""Exact densities of models with a linear Gaussian decoder (probabilistic PCA)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vae_cli.distributions.gaussians import linear_gaussian_marginal
from vae_cli.distributions.mixtures import component_covariances, is_mixture
from vae_cli.models.model import LatentVariableModel


@dataclass(frozen=True)
class LinearGaussian:
    """z ~ N(0, I), x|z ~ N(W z + b, diag s^2): W (D, d), b (D,), s (D,), in float64."""

    weight: Tensor
    bias: Tensor
    scale: Tensor

    def marginal(self) -> MultivariateNormal:
        """p(x), of the data."""
        return linear_gaussian_marginal(self.weight, self.bias, self.scale)

    @property
    def precision(self) -> Tensor:
        """Precision of p(z|x), the same for every x: L = I + W^T diag(s)^-2 W, (d, d)."""
        scaled = self.weight / self.scale.unsqueeze(-1)
        return torch.eye(self.weight.shape[1], dtype=scaled.dtype) + scaled.T @ scaled


def linear_gaussian(model: LatentVariableModel) -> LinearGaussian | None:
    """The densities of a model with a linear Gaussian decoder and the prior N(0, I); None for any other model."""
    return _linear_decoder(model) if model.prior.is_standard_normal else None


@torch.no_grad()
def linear_mixture(model: LatentVariableModel) -> MixtureSameFamily | None:
    """p(x) = sum_c pi_c N(W mu_c + b, W S_c W^T + diag s^2), with its components, of a linear decoder.

    S_c is the covariance of component c. None for any other decoder or prior.
    """
    prior, decoder = model.prior(), _linear_decoder(model)
    if decoder is None or not is_mixture(prior):
        return None
    means, inner = prior.component_distribution.mean.double().cpu(), component_covariances(prior).double().cpu()
    noise = torch.diag(decoder.scale.square())
    covariances = decoder.weight @ inner @ decoder.weight.T + noise
    parts = MultivariateNormal(means @ decoder.weight.T + decoder.bias, covariances)
    return MixtureSameFamily(Categorical(logits=prior.mixture_distribution.logits.double().cpu()), parts)


@torch.no_grad()
def _linear_decoder(model: LatentVariableModel) -> LinearGaussian | None:
    """W, b and s of a Gaussian likelihood with a mean that is affine in z."""
    likelihood = model.likelihood
    if not likelihood.constant_noise:
        return None
    if any(not isinstance(m, nn.Linear | nn.Unflatten | nn.Sequential) for m in likelihood.decoder.modules()):
        return None
    if sum(isinstance(m, nn.Linear) for m in likelihood.decoder.modules()) != 1:
        return None
    device = next(likelihood.decoder.parameters()).device
    basis = torch.cat([torch.zeros(1, model.latent_dim), torch.eye(model.latent_dim)]).to(device)
    decoded = model.decode(basis.unsqueeze(0))
    means = decoded.mean[0].flatten(1).double().cpu()
    scale = decoded.stddev[0, 0].flatten().double().cpu()
    return LinearGaussian((means[1:] - means[0]).T, means[0], scale)
