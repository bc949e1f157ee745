"""Exact answers for linear-Gaussian models (probabilistic PCA): the yardstick of every bound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from vae_cli.distributions.gaussians import linear_gaussian_marginal
from vae_cli.distributions.mixtures import is_mixture
from vae_cli.models.likelihoods import Gaussian, GaussianLearned
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.posteriors import Diagonal, FullCovariance
from vae_cli.models.priors import Normal


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

    @property
    def diagonal_gap(self) -> float:
        """KL from the best diagonal posterior to p(z|x), 1/2 (sum log L_ii - log|L|): nats, the same for every x."""
        return 0.5 * float(self.precision.diagonal().log().sum() - self.precision.logdet())


def linear_gaussian(model: LatentVariableModel) -> LinearGaussian | None:
    """The model as a linear-Gaussian one, or None if it is another."""
    return _linear_decoder(model) if isinstance(model.prior, Normal) else None


@torch.no_grad()
def linear_mixture(model: LatentVariableModel) -> MixtureSameFamily | None:
    """p(x) = sum_c pi_c N(W mu_c + b, W S_c W^T + diag s^2), with its components, of a linear decoder.

    S_c is the covariance of component c. None if the model is another, or its prior no mixture.
    """
    prior, decoder = model.prior(), _linear_decoder(model)
    if decoder is None or not is_mixture(prior):
        return None
    components = prior.component_distribution
    full = isinstance(components, MultivariateNormal)
    inner = components.covariance_matrix if full else torch.diag_embed(components.variance)
    means = components.mean.double().cpu()
    noise = torch.diag(decoder.scale.square())
    covariances = decoder.weight @ inner.double().cpu() @ decoder.weight.T + noise
    parts = MultivariateNormal(means @ decoder.weight.T + decoder.bias, covariances)
    return MixtureSameFamily(Categorical(logits=prior.mixture_distribution.logits.double().cpu()), parts)


@torch.no_grad()
def _linear_decoder(model: LatentVariableModel) -> LinearGaussian | None:
    """W, b and s of a Gaussian likelihood whose mean is affine in z."""
    likelihood = model.likelihood
    if not isinstance(likelihood, Gaussian | GaussianLearned):
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


def posterior_gap(model: LatentVariableModel, exact: LinearGaussian) -> float | None:
    """What log p(x) - ELBO is at the best posterior of the model's family; None for families without a closed form."""
    if isinstance(model.posterior, FullCovariance):
        return 0.0
    return exact.diagonal_gap if isinstance(model.posterior, Diagonal) else None
