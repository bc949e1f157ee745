"""Networks, posteriors, priors, objectives and divergences: every pair trains a step or is refused."""

import numpy as np
import pytest
import torch

from tests.support.contract import SMALL_NETWORKS, configuration, options, pairs, train_a_step
from tests.support.evaluation import evaluated
from vae_cli.config.schema import GapsConfig
from vae_cli.datasets.info import DatasetInfo
from vae_cli.errors import ConfigError
from vae_cli.evaluation.inference_gaps import inference_gaps
from vae_cli.training.build import build_module

NETWORKS, POSTERIORS, OBJECTIVES = map(options, ("network", "posterior", "objective"))
PRIORS, DIVERGENCES = map(options, ("prior", "divergence"))
FACTORISED = ("diagonal", "fixed_scale", "per_example")
GAUSSIAN = (*FACTORISED, "full_covariance")
REFINABLE = ("diagonal", "full_covariance", "per_example")
LAYERED = {"bottom_up", "top_down", "graph"}
SITEWISE = ("deterministic", "diagonal", "fixed_scale", "none", "per_example")
QUANTISED = ("quantised", "quantised_rotation")
OF_CODES = ("codebook=ema", "codebook.codes=8", "prior=code_transformer", "objective=vq")
USUAL = ("mlp", "diagonal", "elbo")
TRIPLES = (
    ("mlp", "none", "gan"),
    ("conv", "none", "gan"),
    ("conv_spatial", "none", "gan"),
    ("mlp", "quantised", "vq"),
    ("conv_spatial", "quantised", "vq"),
    ("conv_spatial", "iaf", "elbo"),
    ("conv_spatial", "deterministic", "reconstruction"),
    ("mlp", "deterministic", "wae"),
    ("mlp", "top_down", "infovae"),
    ("mlp", "per_example", "infovae"),
    ("mlp", "full_covariance", "vade_analytic"),
    ("mlp", "coupling", "vade"),
    ("mlp", "iaf", "tcvae"),
)
"""One for each set of capabilities that differs from the usual one in more than one choice."""
PRIOR_PAIRS = (
    ("normal", "deterministic"),
    ("ex_post", "deterministic"),
    ("normal", "none"),
    ("vamp", "per_example"),
    ("vamp", "top_down"),
    ("mixture", "bottom_up"),
    ("flow", "graph"),
    ("code_transformer", "quantised"),
)


def differing(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("network", "posterior", "objective"),
    pairs(NETWORKS, POSTERIORS, OBJECTIVES, among=lambda *one: differing(one, USUAL) <= 1 or one in TRIPLES),
)
def test_networks_posteriors_and_objectives_combine_or_are_refused(network, posterior, objective):
    overrides = [f"network={network}", f"posterior={posterior}", f"objective={objective}", *SMALL_NETWORKS[network]]
    if objective.startswith("vade"):
        overrides += ["prior=mixture", "prior.components=3"]
    if objective.endswith("gan"):
        overrides += ["divergence.width=8"]
    fits = (
        posterior not in (*QUANTISED, *LAYERED)
        and objective != "vq"
        and (posterior == "none") == (objective == "gan")
        and (network != "conv_spatial" or posterior in SITEWISE)
        and (posterior != "deterministic" or objective in ("reconstruction", "wae", "mmd_vae", "aae"))
        and (posterior in GAUSSIAN or not objective.startswith("vade"))
        and (posterior in FACTORISED or not objective.startswith("tcvae"))
    )
    if fits:
        train_a_step(configuration("digits", *overrides))
    else:
        refused(*overrides)


def refused(*overrides: str) -> None:
    """The rule of capabilities refuses this combination."""
    with pytest.raises(ConfigError) as caught:
        configuration("digits", *overrides)
    assert caught.value.rule == "capabilities"


@pytest.mark.parametrize("codebook", ["ema", "loss"])
@pytest.mark.parametrize("network", ["conv_spatial", "mlp"])
@pytest.mark.parametrize("posterior", QUANTISED)
def test_codebooks_combine_with_every_gradient(posterior, network, codebook):
    choices = (f"posterior={posterior}", f"network={network}", "second_stage=prior")
    overrides = (*choices, *OF_CODES, f"codebook={codebook}", *SMALL_NETWORKS[network])
    train_a_step(configuration("digits", *overrides))


@pytest.mark.parametrize("prior", ["gaussian", "flow", "mixture"])
def test_other_priors_may_be_trained_alone_at_the_end(prior):
    train_a_step(configuration("digits", f"prior={prior}", "second_stage=prior", *SMALL_NETWORKS["mlp"]))


def prior_and_posterior(prior: str, posterior: str) -> list[str]:
    sizes = {"mixture": ["prior.components=3"], "ex_post": ["prior.components=2"], "vamp": ["prior.pseudo_inputs=4"]}
    overrides = [f"prior={prior}", f"posterior={posterior}", *SMALL_NETWORKS["mlp"], *sizes.get(prior, [])]
    if posterior == "deterministic":
        overrides += ["objective=reconstruction"]
    if posterior in LAYERED:
        overrides += ["model=hvae", "model.below=[4]", "model.hidden=[6]", "posterior.hidden=[6]"]
    if posterior in QUANTISED:
        overrides += ["objective=vq", "codebook=ema", "second_stage=prior"]
    if posterior == "none":
        overrides += ["objective=gan", "divergence.width=8"]
    return overrides


@pytest.mark.parametrize(
    ("prior", "posterior"),
    pairs(PRIORS, POSTERIORS, among=lambda *one: one in (("vamp", "coupling"), ("mixture", "bottom_up"))),
)
def test_every_prior_is_a_proposal_and_every_gap_is_measured(prior, posterior):
    """What is measured after training, where a failure would cost all of it."""
    choices = [*prior_and_posterior(prior, posterior), "evaluate.estimator=prior"]
    try:
        config = configuration("digits", *choices)
    except ConfigError:
        pytest.skip("refused")
    data = config.dataset.build().load()
    batch = next(iter(data.loader("train", batch_size=4, seed=0, shuffle=False, device=torch.device("cpu"))))
    module = build_module(config, DatasetInfo.of(data)).eval()
    numbers = evaluated(module.model, [batch], config.evaluate, data)
    assert all(np.isfinite(value).all() for value in numbers.values())
    assert ("mc_log_likelihood" in numbers) == module.model.has_density
    if posterior in REFINABLE:
        found = inference_gaps(module.model, batch, 10**4, GapsConfig(4, 2, 3, 2, 2, 2, 0.01, 5, 5))
        assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize(
    ("prior", "posterior"),
    pairs(PRIORS, POSTERIORS, among=lambda *one: "diagonal" in one or "gaussian" in one or one in PRIOR_PAIRS),
)
def test_priors_and_posteriors_combine_or_are_refused(prior, posterior):
    overrides = prior_and_posterior(prior, posterior)
    fits = prior in ("normal", "ex_post") if posterior == "deterministic" else prior != "ex_post"
    fits = fits and not (prior == "vamp" and posterior in (*LAYERED, "per_example"))
    fits = prior == "normal" if posterior == "none" else fits
    if posterior in QUANTISED or prior == "code_transformer":
        fits = posterior in QUANTISED and prior == "code_transformer"
    if fits:
        train_a_step(configuration("digits", *overrides))
    else:
        with pytest.raises(ConfigError, match="; use "):
            configuration("digits", *overrides)


@pytest.mark.parametrize(
    ("divergence", "posterior"), pairs(DIVERGENCES, POSTERIORS, among=lambda *one: "mmd" in one or "diagonal" in one)
)
def test_divergences_pull_every_posterior(divergence, posterior):
    overrides = ["objective=infovae", f"divergence={divergence}", f"posterior={posterior}", *SMALL_NETWORKS["mlp"]]
    if posterior in LAYERED:
        overrides += ["model=hvae", "model.below=[4]", "model.hidden=[6]", "posterior.hidden=[6]"]
    if posterior == "deterministic":
        overrides += ["objective.alpha=1"]
    if posterior in ("none", *QUANTISED) or divergence == "none" or divergence.startswith("image_discriminator"):
        refused(*overrides)
    else:
        train_a_step(configuration("digits", *overrides))


@pytest.mark.parametrize("train_steps", [0, 2])
@pytest.mark.parametrize("posterior", REFINABLE)
def test_what_is_gaussian_is_refined(posterior, train_steps):
    chosen = ("refinement=semi_amortised", f"refinement.train_steps={train_steps}", "refinement.steps=3")
    train_a_step(configuration("digits", f"posterior={posterior}", *SMALL_NETWORKS["mlp"], *chosen))


@pytest.mark.parametrize("posterior", sorted(set(POSTERIORS) - set(REFINABLE)))
def test_what_is_not_gaussian_is_not_refined(posterior):
    objectives = {"none": "gan", "deterministic": "reconstruction"}
    choices = ["refinement=semi_amortised", f"posterior={posterior}", f"objective={objectives.get(posterior, 'elbo')}"]
    if posterior in LAYERED:
        choices += ["model=hvae"]
    if posterior in QUANTISED:
        choices += OF_CODES
    refused(*choices)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("model", ["gan", "vae_gan"])
def test_adversarial_models_of_x_take_what_judges_x(model, divergence):
    overrides = [f"model={model}", f"divergence={divergence}", *SMALL_NETWORKS["conv"]]
    if divergence.startswith("image_discriminator"):
        overrides += ["divergence.width=8"]
    elif model == "vae_gan" or divergence == "none" or divergence.startswith("latent_discriminator"):
        refused(*overrides)
        return
    train_a_step(configuration("digits", *overrides))
