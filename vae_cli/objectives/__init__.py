"""Objectives: the losses of training, weighted named terms of a trace. Sums over dimensions, means over data."""

from vae_cli.objectives.elbo import ELBO, Reconstruction
from vae_cli.objectives.gan import VAEGAN, GANLoss
from vae_cli.objectives.importance import IWAE, DoublyReparameterised, StickingTheLanding
from vae_cli.objectives.infovae import InfoVAE
from vae_cli.objectives.objective import Objective, Progress, Terms
from vae_cli.objectives.quantisation import PriorFit, VectorQuantisation
from vae_cli.objectives.total_correlation import TCVAE, FactorVAE, StratifiedTCVAE
from vae_cli.objectives.vade import FixedAssignments, VaDE, VaDEAnalytic

__all__ = [
    "ELBO",
    "IWAE",
    "TCVAE",
    "VAEGAN",
    "DoublyReparameterised",
    "FactorVAE",
    "FixedAssignments",
    "GANLoss",
    "InfoVAE",
    "Objective",
    "PriorFit",
    "Progress",
    "Reconstruction",
    "StickingTheLanding",
    "StratifiedTCVAE",
    "Terms",
    "VaDE",
    "VaDEAnalytic",
    "VectorQuantisation",
]
