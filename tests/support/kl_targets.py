"""Targets to fit."""

from vae_cli.studies.kl.targets import Mixture


def bimodal(weights=(0.6, 0.4), means=(-2.5, 2.5), scales=(0.8, 0.6)) -> Mixture:
    return Mixture(weights=list(weights), means=list(means), scales=list(scales), size=20_000, seed=0)
