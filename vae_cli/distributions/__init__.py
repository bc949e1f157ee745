"""Distributions with normalised densities, in nats."""
