"""Small codebooks, and a VQ-VAE whose grids of codes can be enumerated."""

import torch

from vae_cli.models.code_priors import CodeTransformer
from vae_cli.models.codebooks import Codebook, Learned, MovingAverages
from vae_cli.models.likelihoods import Bernoulli
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.posteriors import Quantised
from vae_cli.models.spatial_networks import SpatialConv, n_positions

CODEBOOKS = {"moving averages": MovingAverages, "learned": Learned}
K, D = 3, 2
NETWORK = SpatialConv(channels=[4], blocks=1, activation="tanh")
TWO_BY_TWO = (1, 4, 3)


def codebook(codes: int = K, decay: float = 0.9, restart_threshold: float = 0.0, family=MovingAverages) -> Codebook:
    return family(D, codes=codes, decay=decay, restart_threshold=restart_threshold)


def vqvae(family=MovingAverages, posterior=Quantised, **settings) -> LatentVariableModel:
    """A VQ-VAE of 4 x 3 images, with 2 x 2 codes."""
    n = n_positions(NETWORK, TWO_BY_TWO)
    book = codebook(family=family, **settings)
    book.start_at(torch.randn(200, D))
    encoder = posterior(NETWORK, TWO_BY_TWO, n * D, n, book)
    prior = CodeTransformer(encoder, n, layers=1, heads=2, head_width=4)
    return LatentVariableModel(encoder, prior, Bernoulli(NETWORK, n * D, TWO_BY_TWO), latent_dim=n * D)


def images(n: int) -> torch.Tensor:
    return torch.bernoulli(torch.rand(n, *TWO_BY_TWO))


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return module


def minimise(loss, parameters, steps: int, lr: float) -> None:
    optimizer = torch.optim.Adam(parameters, lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
