"""Mixture priors p(z) = sum_c pi_c p(z|c): responsibilities of components for a posterior, and rates.

Shape legend: S samples, B batch, d latent dimensions, K components.
"""

from __future__ import annotations

import math
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal
from torch.nn.functional import linear

from vae_cli.distributions.gaussians import gaussian
from vae_cli.distributions.precision import float32


def mixture(
    logits: Float[Tensor, " K"], means: Float[Tensor, "K d"], scales: Float[Tensor, "K d"]
) -> MixtureSameFamily:
    """sum_c softmax(logits)_c N(means_c, diag scales_c^2): logits (K,), means and scales (K, d)."""
    weights = Categorical(logits=logits, validate_args=False)
    return MixtureSameFamily(weights, gaussian(means, scales, 1), validate_args=False)


class Aggregate(MixtureSameFamily):
    """1/K sum_k q_k for q of batch shape (K,): an aggregated posterior; its components are not clusters."""

    def __init__(self, parts: Distribution) -> None:
        weights = Categorical(logits=torch.zeros(parts.batch_shape, device=parts.mean.device), validate_args=False)
        super().__init__(weights, parts, validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """log 1/K sum_k q_k(z), (...,) for x = z (..., d); of diagonal Gaussians by one matrix product.

        (z - m)^2 / s^2 = z^2 / s^2 - 2 z m / s^2 + m^2 / s^2 cancels where s is small: it is added up in float64.
        """
        parts = self.component_distribution
        if not isinstance(parts, Independent) or not isinstance(parts.base_dist, Normal) or len(parts.batch_shape) > 1:
            return super().log_prob(x)
        z, loc, scale = x.double(), parts.base_dist.loc.double(), parts.base_dist.scale.double()
        precision = scale.square().reciprocal()
        normaliser = scale.log().sum(-1) + 0.5 * loc.shape[-1] * math.log(2 * math.pi) + math.log(len(loc))
        constant = -0.5 * (loc.square() * precision).sum(-1) - normaliser
        squares, products = z.square(), torch.cat([-0.5 * precision, loc * precision], -1)
        return linear(torch.cat([squares, z], -1), products, constant).to(x.dtype).logsumexp(-1)


def is_mixture(p: Distribution) -> TypeGuard[MixtureSameFamily]:
    """True if the components of p are clusters."""
    return isinstance(p, MixtureSameFamily) and not isinstance(p, Aggregate)


def density_floats(p: Distribution) -> int:
    """Floats that log p(z) of one z holds at a time beyond z: four temporaries for each mean of a mixture.

    For an aggregated posterior four in double precision for each part, for any other distribution none.
    """
    if is_mixture(p):
        return 4 * p.component_distribution.mean.numel()
    return 8 * p.component_distribution.batch_shape.numel() if isinstance(p, Aggregate) else 0


def component_covariances(p: MixtureSameFamily) -> Tensor:
    """Covariances of Gaussian components, (K, d, d)."""
    components = p.component_distribution
    full = isinstance(components, MultivariateNormal)
    return components.covariance_matrix if full else torch.diag_embed(components.variance)


def log_joint(p: MixtureSameFamily, z: Float[Tensor, "*S d"]) -> Float[Tensor, "*S K"]:
    """log pi_c + log p(z|c), (..., K), for z (..., d)."""
    with float32():
        return p.mixture_distribution.logits + p.component_distribution.log_prob(z.unsqueeze(-2))


def expected_log_joint(p: MixtureSameFamily, q: Distribution) -> Float[Tensor, "B K"]:
    """log pi_c + E_q log p(z|c), (B, K): exact for diagonal Gaussian components and for point masses.

    E_q log N(z; mu, diag s^2) = -1/2 sum_j (log 2 pi s_j^2 + (Var_q z_j + (E_q z_j - mu_j)^2) / s_j^2) for any q with
    these moments. NotImplementedError where q has none.
    """
    components = p.component_distribution
    if not isinstance(components, Independent):
        return log_joint(p, q.mean)
    with float32():
        means, variances = components.mean, components.variance
        squares = q.variance.unsqueeze(-2) + (q.mean.unsqueeze(-2) - means).square()
        density = -0.5 * ((2 * math.pi * variances).log() + squares / variances).sum(-1)
        return p.mixture_distribution.logits + density


def log_responsibilities(p: MixtureSameFamily, q: Distribution) -> Float[Tensor, "B K"]:
    """log gamma_c = log softmax_c(log pi_c + E_q log p(z|c)), (B, K): the best q(c|x) that depends on x alone.

    It maximises the ELBO of VaDE (Jiang et al. 2017, eq. 15 and 16, whose p(c|z) at a sample is its approximation).
    """
    return expected_log_joint(p, q).log_softmax(-1)


def assigned_rate(p: MixtureSameFamily, q: Distribution, log_gamma: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """KL(q(z|x) q(c|x) || p(z, c)) for log q(c|x) = log_gamma (B, K): nats, (B,).

    = -H(q) + sum_c gamma_c (log gamma_c - log pi_c - E_q log p(z|c)) (Jiang et al. 2017, eq. 12); a component without
    responsibility, log gamma_c = -inf, adds nothing.
    """
    with float32():
        gamma = log_gamma.exp()
        terms = torch.where(gamma > 0, gamma * (log_gamma - expected_log_joint(p, q)), 0.0)
        return terms.sum(-1) - q.entropy()


@torch.no_grad()
def faults(p: MixtureSameFamily, min_scale: float) -> dict[str, str]:
    """Faults of a learned mixture of diagonal Gaussians, by name.

    A component is empty below a hundredth of its fair share 1/K of the weight; two have merged where their densities
    overlap by more than 0.9 (Bhattacharyya's coefficient, the integral of sqrt(p q)); a scale is at its floor within a
    tenth of it, and runs away beyond 1e4.
    """
    weights, components = p.mixture_distribution.probs, p.component_distribution
    means, variances = components.mean, components.variance
    count = len(weights)
    found = {
        f"empty {c}": f"component {c} is empty (weight {weights[c]:.2g}); use fewer prior.components"
        for c in (weights < 0.01 / count).nonzero().flatten().tolist()
    }
    both = variances.unsqueeze(0) + variances.unsqueeze(1)
    apart = (means.unsqueeze(0) - means.unsqueeze(1)).square() / both / 4
    spread = (both.log() - math.log(2) - (variances.log().unsqueeze(0) + variances.log().unsqueeze(1)) / 2) / 2
    overlap = (-(apart + spread).sum(-1)).exp()
    close = (overlap - torch.eye(count, device=overlap.device) > 0.9).any(1).nonzero().flatten().tolist()
    if close:
        names = ", ".join(map(str, close))
        found[f"merged {names}"] = f"components {names} have merged, each overlaps another; use fewer prior.components"
    scales = variances.sqrt()
    for c, j in (scales < 1.1 * min_scale).nonzero().tolist():
        found.setdefault(f"narrow {c}", f"component {c} has shrunk to prior.min_scale in dimension {j}")
    for c, j in (scales > 1e4).nonzero().tolist():
        found.setdefault(f"wide {c}", f"component {c} has a standard deviation of {scales[c, j]:.2g} in dimension {j}")
    return found
