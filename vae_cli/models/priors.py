"""Priors p(z): modules whose forward returns a distribution over z (d,). d latent dimensions, K components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from vae_cli.batch import Batch, first_batches
from vae_cli.capabilities import Capable
from vae_cli.distributions.flows import density_flow
from vae_cli.distributions.gaussians import floored, gaussian, log_gaussian
from vae_cli.distributions.mixtures import Aggregate, faults, mixture
from vae_cli.distributions.overflow import finite_rows, named
from vae_cli.errors import UserError, warn
from vae_cli.models.posteriors import AmortisedPosterior
from vae_cli.types import PositiveFloat, PositiveInt, Shape


class Prior(nn.Module, Capable):
    """Base class: called without arguments, it returns p(z), batch shape (), event shape (d,)."""

    provides: ClassVar = ("joint",)
    is_standard_normal: ClassVar[bool] = False
    components: int  # K of a prior that provides "mixture"

    @property
    def is_fitted(self) -> bool:
        """False for a prior that waits for `fit`."""
        return True

    def forward(self) -> Distribution:
        raise NotImplementedError

    def fit(self, codes: Float[Tensor, "N d"], seed: int) -> None:
        """Fit p(z) to the codes (N, d) of the training set; of priors that provide "ex_post"."""
        raise NotImplementedError

    def set_components(self, weights: Tensor, means: Tensor, variances: Tensor) -> None:
        """Set weights (K,) > 0, means (K, d) and variances (K, d) of a prior that provides "mixture"."""
        raise NotImplementedError

    def faults(self) -> dict[str, str]:
        """A sentence for each fault that p(z) has developed in training, by a name of the fault."""
        return {}


class Normal(Prior):
    """p(z) = N(0, I)."""

    is_standard_normal: ClassVar[bool] = True

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        return gaussian(self.get_buffer("loc"), self.get_buffer("scale"), 1)


class Gaussian(Prior):
    """p(z) = N(m, diag s^2), both learned."""

    provides: ClassVar = ("joint", "learned", "separate")

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(latent_dim))

    def forward(self) -> Distribution:
        return log_gaussian(self.loc, self.log_scale, 1)


class Flow(Prior):
    """Masked autoregressive flow that starts as N(0, I) (Papamakarios et al. 2017).

    The density takes one pass, a draw takes d passes.

    Args:
        steps: autoregressive steps.
        hidden: widths of the hidden layers of each step.
    """

    provides: ClassVar = ("joint", "learned", "separate")

    def __init__(self, latent_dim: int, *, steps: PositiveInt, hidden: list[PositiveInt]) -> None:
        super().__init__()
        self.flow = density_flow(latent_dim, steps, hidden)

    def forward(self) -> Distribution:
        return self.flow()


class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z|u_k), the pseudo-inputs u learned: an aggregated posterior (Tomczak & Welling 2018, eq. 9).

    The pseudo-inputs start at examples of the training set and may leave the range of the data.

    Args:
        pseudo_inputs: K.
    """

    provides: ClassVar = ("joint", "learned")
    requires: ClassVar = {"posterior": ("density", "encoder", "single_layer")}

    def __init__(
        self, latent_dim: int, posterior: AmortisedPosterior, event_shape: Shape, *, pseudo_inputs: PositiveInt
    ) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.rand(pseudo_inputs, *event_shape))
        self.shared = (posterior,)  # the model's: registered here, too, its weights would be saved twice

    def forward(self) -> Distribution:
        index = torch.arange(len(self.inputs), device=self.inputs.device)
        return Aggregate(self.shared[0](Batch(self.inputs, index)))

    @torch.no_grad()
    def start_from(self, batches: Iterable[Batch]) -> None:
        """Start the pseudo-inputs at the first examples of the batches, repeated if there are too few."""
        count = len(self.inputs)
        examples = torch.cat([batch.x for batch in first_batches(batches, count)])
        self.inputs.copy_(examples[torch.arange(count, device=examples.device) % len(examples)])


class GaussianMixturePrior(Prior):
    """p(z) = sum_c pi_c N(z; mu_c, diag s_c^2), all learned: the prior of VaDE (Jiang et al. 2017, eq. 1 to 3).

    The density of a component that shrinks to a point has no upper bound, hence the floor `min_scale`.

    Args:
        components: K.
        spread: standard deviation of the initial means, in units of z.
        min_scale: lower bound of each standard deviation, in units of z.
    """

    provides: ClassVar = ("joint", "learned", "separate", "mixture")

    def __init__(
        self, latent_dim: int, *, components: PositiveInt, spread: PositiveFloat, min_scale: PositiveFloat
    ) -> None:
        super().__init__()
        self.components, self.min_scale = components, min_scale
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(spread * torch.randn(components, latent_dim))
        self.log_variances = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self) -> MixtureSameFamily:
        return mixture(self.logits, self.means, floored(self.log_variances, self.min_scale))

    def faults(self) -> dict[str, str]:
        return faults(self(), self.min_scale)

    @torch.no_grad()
    def set_components(self, weights: Tensor, means: Tensor, variances: Tensor) -> None:
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.log_variances.copy_((variances - self.min_scale**2).clamp(min=self.min_scale**2).log())


class ExPostGaussianMixture(Prior):
    """A Gaussian mixture fitted to the codes of a trained autoencoder (Ghosh et al. 2020); N(0, I) before `fit`.

    Args:
        components: components at most.
        restarts: runs of expectation-maximisation; the likeliest is kept.
        covariance_floor: added to the diagonal of each covariance, in squared units of z.
    """

    provides: ClassVar = ("ex_post",)
    requires: ClassVar = {"posterior": ("inference",)}

    def __init__(
        self, latent_dim: int, *, components: PositiveInt, restarts: PositiveInt, covariance_floor: PositiveFloat
    ) -> None:
        super().__init__()
        self.components, self.restarts, self.covariance_floor = components, restarts, covariance_floor
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("logits", torch.zeros(components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("tril", torch.eye(latent_dim).repeat(components, 1, 1))

    @property
    def is_fitted(self) -> bool:
        return bool(self.get_buffer("fitted"))

    def forward(self) -> Distribution:
        means, tril = self.get_buffer("means"), self.get_buffer("tril")
        if self.training or not self.is_fitted:  # the fit follows the training
            return gaussian(means[0], torch.ones_like(means[0]), 1)
        weights = Categorical(logits=self.get_buffer("logits"), validate_args=False)
        parts = MultivariateNormal(means, scale_tril=tril, validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False)

    def fit(self, codes: Float[Tensor, "N d"], seed: int) -> None:
        """Fit the codes (N, d) by expectation-maximisation, with at most one component for each distinct code.

        Codes that are not finite are left out with a warning; UserError if no code is finite.
        """
        from sklearn.mixture import GaussianMixture  # the import takes seconds

        finite = finite_rows([codes])
        if not finite.any():
            raise UserError("prior: no code of a training example is finite, so that no mixture fits them")
        if left_out := (~finite).nonzero().flatten().tolist():
            warn(f"prior: the fit leaves out {named(left_out)} of the training split, whose codes are not finite")
        z = codes[finite].double().cpu().numpy()
        mixture = GaussianMixture(
            min(self.components, len(np.unique(z, axis=0))),
            covariance_type="full",
            n_init=self.restarts,
            reg_covar=self.covariance_floor,
            random_state=seed,
        ).fit(np.repeat(z, 2, 0) if len(z) == 1 else z)  # the same likelihood: scikit-learn wants two
        k = mixture.n_components
        tril = torch.linalg.cholesky(torch.as_tensor(mixture.covariances_))
        logits = torch.full((self.components,), -torch.inf, dtype=torch.float64)
        logits[:k] = torch.as_tensor(mixture.weights_).log()
        self.get_buffer("fitted").fill_(True)
        self.get_buffer("logits").copy_(logits)
        self.get_buffer("means")[:k] = torch.as_tensor(mixture.means_).to(self.get_buffer("means"))
        self.get_buffer("tril")[:k] = tril.to(self.get_buffer("tril"))
