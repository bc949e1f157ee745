"""Combinations that cannot run: each rule is a function of the facts and returns one line, or None."""

from vae_cli.config.facts import Rule
from vae_cli.config.rules.capabilities import NEEDS, codebook_in_use, divergence_in_use, features_are_there
from vae_cli.config.rules.data import (
    binarises_probabilities,
    pooled_has_no_validation,
    reads_layout,
    scores_domain,
    standardises_real,
    validates,
)
from vae_cli.config.rules.latents import (
    codes_meet_codes,
    gaps_are_of_bounds,
    graphs_have_parents,
    prior_in_time,
    prior_is_trained,
    rows_ascend_the_objective,
    unseen_are_refined,
)
from vae_cli.config.rules.objectives import (
    anneals_weights,
    divergence_is_not_rewarded,
    divergence_judges,
    rate_has_density,
    rate_is_not_rewarded,
    waits_for_the_best,
)
from vae_cli.config.rules.optimizer import nesterov_has_momentum, optimizer_in_range
from vae_cli.config.rules.trainer import half_precision_has_a_gpu, mixed_precision_clips, shares_batches

RULES: tuple[Rule, ...] = (
    scores_domain,
    reads_layout,
    prior_in_time,
    codes_meet_codes,
    codebook_in_use,
    *NEEDS,
    unseen_are_refined,
    rows_ascend_the_objective,
    gaps_are_of_bounds,
    graphs_have_parents,
    divergence_in_use,
    divergence_judges,
    features_are_there,
    divergence_is_not_rewarded,
    rate_is_not_rewarded,
    rate_has_density,
    prior_is_trained,
    anneals_weights,
    binarises_probabilities,
    standardises_real,
    validates,
    waits_for_the_best,
    pooled_has_no_validation,
    shares_batches,
    half_precision_has_a_gpu,
    mixed_precision_clips,
    optimizer_in_range,
    nesterov_has_momentum,
)
