"""Combinations that cannot run: each rule is a function of a ConfigView that returns a Refusal, or None.

The function's name is the rule's id, which the error carries.
"""

from vae_cli.config.rules.capabilities import capabilities
from vae_cli.config.rules.data import (
    binarize_domain,
    likelihood_support,
    network_layout,
    pooled_validation,
    standardise_domain,
    validation_split,
)
from vae_cli.config.rules.latents import (
    categories_divide,
    free_bits_layers,
    gaps_posterior,
    latent_graphs,
    per_example_binarize,
    per_example_objective,
    prior_gradient,
    upper_layers,
)
from vae_cli.config.rules.objectives import (
    annealing_weights,
    divergence_weight,
    patience_selection,
    rate_density,
    rate_weight,
)
from vae_cli.config.rules.optimizer import nesterov_momentum, optimizer_range
from vae_cli.config.rules.trainer import fused_clipping, half_precision, whole_batch
from vae_cli.config.view import Rule

RULES: tuple[Rule, ...] = (
    likelihood_support,
    network_layout,
    capabilities,
    per_example_binarize,
    per_example_objective,
    gaps_posterior,
    latent_graphs,
    free_bits_layers,
    categories_divide,
    divergence_weight,
    rate_weight,
    rate_density,
    prior_gradient,
    upper_layers,
    annealing_weights,
    binarize_domain,
    standardise_domain,
    validation_split,
    patience_selection,
    pooled_validation,
    whole_batch,
    half_precision,
    fused_clipping,
    optimizer_range,
    nesterov_momentum,
)
