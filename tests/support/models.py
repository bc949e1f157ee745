"""Small models for tests, built from the same parts as configurations build them."""

import torch
from torch import nn

from vae_cli.batch import Batch
from vae_cli.evaluation.linear_gaussian import LinearGaussian
from vae_cli.models import likelihoods, posteriors, priors
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.networks import MLP, Linear
from vae_cli.objectives import Progress
from vae_cli.objectives.divergences import ImageDiscriminator

IMAGE = (1, 6, 5)
START = Progress(epoch=0.0, examples=100)


def small_mlp() -> MLP:
    return MLP(hidden=[16], activation="tanh", dropout=0.0)


def batch_of(x: torch.Tensor) -> Batch:
    return Batch(x, torch.arange(len(x)))


def binary_images(n: int) -> torch.Tensor:
    return torch.bernoulli(torch.full((n, *IMAGE), 0.3))


def binary_vae(posterior=posteriors.Diagonal, latent_dim: int = 3) -> LatentVariableModel:
    network = small_mlp()
    return LatentVariableModel(
        posterior(network, IMAGE, latent_dim),
        priors.Normal(latent_dim),
        likelihoods.Bernoulli(network, latent_dim, IMAGE),
        latent_dim=latent_dim,
    )


def image_discriminator(family=ImageDiscriminator, *, spectral_norm: bool = False, penalty: float = 0.0):
    return family(small_mlp(), IMAGE, 1, width=8, spectral_norm=spectral_norm, penalty=penalty)


def got_gradient(module: nn.Module) -> list[bool]:
    return [parameter.grad is not None and bool(parameter.grad.any()) for parameter in module.parameters()]


def mixture_vae(
    components: int, posterior=posteriors.Diagonal, latent_dim: int = 3
) -> tuple[LatentVariableModel, LatentVariableModel, Batch]:
    """A VAE with a mixture prior, the same with a standard normal one, and a batch."""
    plain = binary_vae(posterior, latent_dim)
    prior = priors.GaussianMixturePrior(latent_dim, components=components, spread=1.0, min_scale=1e-3)
    model = LatentVariableModel(plain.posterior, prior, plain.likelihood, latent_dim=latent_dim)
    return model, plain, batch_of(binary_images(8))


def linear_mixture_vae(
    components: int = 3, dims: int = 4, latent_dim: int = 2
) -> tuple[LatentVariableModel, torch.Tensor]:
    """A linear-Gaussian VAE with a mixture prior, a broad posterior as a proposal, and draws from the model."""
    network = Linear()
    model = LatentVariableModel(
        posteriors.Diagonal(network, (dims,), latent_dim),
        priors.GaussianMixturePrior(latent_dim, components=components, spread=2.0, min_scale=1e-3),
        likelihoods.Gaussian(network, latent_dim, (dims,), scale=0.7),
        latent_dim=latent_dim,
    )
    with torch.no_grad():
        model.prior.logits.normal_()
        model.prior.log_variances.normal_()
        decoder, encoder = model.likelihood.decoder[0], model.posterior.encoder[1]
        decoder.weight.normal_()
        inverse = torch.linalg.pinv(decoder.weight)
        encoder.weight[:latent_dim], encoder.bias[:latent_dim] = inverse, -inverse @ decoder.bias
        encoder.weight[latent_dim:], encoder.bias[latent_dim:] = 0.0, 0.5
        x = model.decode(model.prior().sample(torch.Size((1, 5)))).sample()[0]
    return model, x


def linear_vae(posterior, scale: float = 0.7, dims: int = 5, latent_dim: int = 2) -> LatentVariableModel:
    """A linear-Gaussian VAE in float64 whose posterior is set to the best one of its family."""
    network = Linear()
    model = LatentVariableModel(
        posterior(network, (dims,), latent_dim),
        priors.Normal(latent_dim),
        likelihoods.Gaussian(network, latent_dim, (dims,), scale=scale),
        latent_dim=latent_dim,
    )
    set_best_posterior(model)
    return model


@torch.no_grad()
def set_best_posterior(model: LatentVariableModel) -> None:
    """Encoder weights in closed form: mean L^-1 W^T (x - b) / s^2, covariance L^-1, or 1/L_ii on the diagonal."""
    decoder = model.likelihood.decoder[0]
    scale = model.likelihood.scale
    exact = LinearGaussian(decoder.weight.double(), decoder.bias.double(), scale.double().expand(len(decoder.bias)))
    mean_of = torch.linalg.solve(exact.precision, exact.weight.T / exact.scale.square())
    encoder = model.posterior.encoder[1]
    encoder.weight.zero_()
    encoder.bias.zero_()
    d = model.latent_dim
    encoder.weight[:d] = mean_of
    encoder.bias[:d] = -mean_of @ exact.bias
    if isinstance(model.posterior, posteriors.Diagonal):
        encoder.bias[d:] = -exact.precision.diagonal().log()
    if isinstance(model.posterior, posteriors.FullCovariance):
        tril = torch.linalg.cholesky(torch.linalg.inv(exact.precision))
        encoder.bias[d : 2 * d] = torch.log(torch.expm1(tril.diagonal())) - posteriors.SOFTPLUS_OF_ONE
        rows, columns = torch.tril_indices(d, d, -1)
        encoder.bias[2 * d :] = tril[rows, columns]
