"""Rules of one kind: what the class of one group needs, that of another has."""

from __future__ import annotations

from vae_cli.config.facts import InUse, Need

NEEDS = (
    Need("objective", "infers", "encodes x", "posterior", "infers", "has no encoder"),
    Need("posterior", "infers", "has a q(z|x)", "objective", "infers", "trains none"),
    Need("prior", "fitted_after", "is fitted to codes", "posterior", "infers", "has none"),
    Need("network", "has_sites", "gives a map of features", "posterior", "takes_sites", "mixes its sites"),
    Need("objective", "needs_density", "needs the density q(z|x)", "posterior", "has_density"),
    Need("objective", "needs_entropy", "needs the entropy of q(z|x)", "posterior", "has_entropy"),
    Need("initialisation", "needs_entropy", "trains with the entropy of q(z|x)", "posterior", "has_entropy"),
    Need("prior", "needs_density", "is made of densities q(z|u)", "posterior", "has_density"),
    *(
        Need(group, "needs_one_latent", "is for a single layer of latents", "posterior", "one_latent", "has several")
        for group in ("objective", "prior", "pretraining")
    ),
    Need("posterior", "layered", "is of several layers of latents", "model", "layered", "has one"),
    Need("model", "layered", "has layers of latents", "posterior", "layered", "has none"),
    Need("objective", "needs_mixture", "needs a prior with components to learn", "prior", "learns_mixture"),
    Need("initialisation", "needs_mixture", "needs a prior with components to learn", "prior", "learns_mixture"),
    Need("objective", "needs_factors", "needs a q(z|x) that factorises", "posterior", "factorises", "does not"),
    Need(
        "pretraining", "needs_continuous", "moves z by its gradient", "posterior", "is_continuous", "moves it in steps"
    ),
    Need("pretraining", "needs_encoder", "trains an encoder", "posterior", "encodes", "is without one"),
    Need("initialisation", "needs_encoder", "clusters encoded x", "posterior", "encodes", "is without an encoder"),
    Need("prior", "needs_encoder", "is made of encoded x", "posterior", "encodes", "is without an encoder"),
    Need("refinement", "needs_gaussian", "moves the moments of a Gaussian", "posterior", "refinable", "has others"),
    Need("second_stage", "needs_density", "needs the density q(z|x)", "posterior", "has_density"),
    Need("second_stage", "needs_alone", "lets the prior learn alone", "prior", "learns_alone", "does not"),
    Need("pretraining", "needs_stacked", "needs a stack of mirrored layers", "network", "stacked", "is none"),
)

codebook_in_use = InUse("codebook", "posterior", "has_codes", "needs a codebook", "is not used by")
divergence_in_use = InUse("divergence", "objective", "needs_divergence", "weighs a divergence", "is not in")
features_are_there = Need("objective", "needs_features", "compares features of x", "divergence", "has_features")
