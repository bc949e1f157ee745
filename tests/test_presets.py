"""Every preset, data set and likelihood: what is allowed trains, evaluates, samples, saves; the rest is refused."""

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from tests.configs import composed
from vae_cli.build import build_module
from vae_cli.errors import ConfigError
from vae_cli.evaluation import DataFacts
from vae_cli.folders import conf_folder
from vae_cli.models import codes
from vae_cli.phases import TrainingCodes


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


MODELS, LIKELIHOODS, NETWORKS, POSTERIORS = map(options, ("model", "likelihood", "network", "posterior"))
OBJECTIVES, PRETRAINING, INITIALISATIONS = map(options, ("objective", "pretraining", "initialisation"))
ANNEALING = options("annealing")
PRIORS, DIVERGENCES = map(options, ("prior", "divergence"))
FACTORISED = ("diagonal", "fixed_scale")
LAYERED = {"bottom_up", "top_down", "graph"}
GAUSSIAN = (*FACTORISED, "full_covariance")
SMALL_NETWORKS = {
    "mlp": ["network.hidden=[16]"],
    "mlp_vade": ["network.hidden=[16]"],
    "linear": [],
    "conv": ["network.channels=[4]", "network.dense=8"],
    "residual_mlp": ["network.width=16", "network.blocks=1"],
    "resnet": ["network.channels=[4]"],
    "conv_grid": ["network.channels=[4]"],
}
SITEWISE = ("deterministic", "diagonal", "fixed_scale")
QUANTISED = ("quantised", "quantised_rotation")
OF_CODES = ("codebook=ema", "codebook.codes=8", "prior=code_transformer", "objective=vq")
DATASETS = {
    "digits": ["dataset=digits"],
    "digits grey": ["dataset=digits", "dataset.binarize=none"],
    "linear_gaussian": ["dataset=linear_gaussian", "dataset.train_size=300", "dataset.val_size=50"],
    "gaussian_mixture": ["dataset=gaussian_mixture", "dataset.train_size=300", "dataset.val_size=50"],
    "npz bytes": ["dataset=npz", "dataset.domain=levels", "dataset.val_size=5"],
}
DOMAINS = {
    "digits": "binary",
    "digits grey": "unit",
    "linear_gaussian": "real",
    "gaussian_mixture": "real",
    "npz bytes": "levels",
}
ALWAYS = (("diagonal", "elbo"), ("none", "gan"))  # with every network
VECTORS = ("linear_gaussian", "gaussian_mixture")
USUAL = {"binary": "bernoulli", "unit": "continuous_bernoulli", "real": "gaussian", "levels": "discretised_logistic"}


def usual(model: str, dataset: str) -> str:
    return "gaussian" if model.endswith("gan") else USUAL[DOMAINS[dataset]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "colour images.npz"
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 9, 8), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(40) % 3)
    return path


def configuration(archive: Path, dataset: str, *overrides: str):
    path = [f"dataset.path='{archive}'"] if dataset.startswith("npz") else []
    return composed(*DATASETS[dataset], *path, "model.latent_dim=3", "dataset.batch_size=8", *overrides)


def test_the_published_protocol_composes():
    config = composed("experiment=vade_paper")
    assert config.dataset.pooled and config.dataset.val_size == 0 and config.trainer.max_epochs == 300
    assert config.objective._target_.endswith("SampledGamma") and config.network.hidden == [500, 500, 2000]


def train_a_step(config) -> None:
    data = instantiate(config.dataset).load()
    facts = DataFacts(data.name, data.event_shape, data.domain, data.sha256)
    module = build_module(config, facts)
    loader = data.loader("train", batch_size=8, seed=0, shuffle=True, device=torch.device("cpu"))
    batch = next(iter(loader))

    optimizer = module.make_optimizer(module.parameters())
    before = [p.detach().clone() for p in module.parameters()]
    for phase in module.phases:
        if phase.begin:
            phase.begin(module.model, TrainingCodes(codes(module.model, loader), 10, seed=0))
        for _ in range(2):  # what starts at zero hides what is behind it for one
            optimizer.zero_grad()
            terms = phase.objective(module.model, batch)
            terms.loss.backward()
            optimizer.step()
            assert terms.loss.isfinite()
    moved = [not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True)]
    assert np.mean(moved) > 0.7

    module.eval()
    with torch.no_grad():
        module.evaluation.update(module.model, batch)
        numbers = module.evaluation.compute()
        assert all(np.isfinite(value).all() for value in numbers.values())
        assert ("elbo" in numbers) == module.model.has_density
        assert ("iw_log_likelihood" in numbers) == (module.model.has_density and module.model.is_continuous)
        assert ("active_units" in numbers) == ("iw_log_likelihood" in numbers) == ("aggregated_kl" in numbers)
        assert ("code_perplexity" in numbers) != module.model.is_continuous
        assert ("bits_per_dim" in numbers) == (module.model.has_density and module.model.likelihood.discrete)
        assert module.model.sample(4).shape == (4, *data.event_shape)

    other = build_module(config, facts)
    other.load_state_dict(module.state_dict())
    torch.manual_seed(1)
    expected = module.model.sample(2)
    torch.manual_seed(1)
    assert torch.equal(other.model.sample(2), expected)


def pairs(*groups: Iterable[str], among: Callable[..., bool]) -> list:
    """All combinations; those that are not among the pairs of interest are slow, since each is composed and checked."""
    return [pytest.param(*one, marks=() if among(*one) else pytest.mark.slow) for one in product(*groups)]


@pytest.mark.parametrize(
    ("model", "dataset", "likelihood"),
    pairs(MODELS, DATASETS, LIKELIHOODS, among=lambda m, d, like: m == "vae" or like == usual(m, d)),
)
def test_every_preset_on_every_dataset_with_every_likelihood(model, dataset, likelihood, archive):
    from vae_cli import likelihoods

    classes = {
        "bernoulli": likelihoods.Bernoulli,
        "centred_bernoulli": likelihoods.CentredBernoulli,
        "categorical": likelihoods.Categorical,
        "continuous_bernoulli": likelihoods.ContinuousBernoulli,
        "discretised_logistic": likelihoods.DiscretisedLogistic,
        "gaussian": likelihoods.Gaussian,
        "gaussian_decoder": likelihoods.GaussianDecoder,
        "gaussian_learned": likelihoods.GaussianLearned,
    }
    networks = {"conv_vae": "conv", "vqvae": "conv_grid", "gan": "conv", "vae_gan": "conv"}
    domain = "unit" if model.endswith("gan") and dataset == "digits" else DOMAINS[dataset]  # its preset binarises none
    allowed = domain in classes[likelihood].scores and not (model in networks and dataset in VECTORS)
    network = SMALL_NETWORKS[networks.get(model, "mlp")]
    overrides = (f"model={model}", f"likelihood={likelihood}", *network)
    if not allowed:
        with pytest.raises(ConfigError, match="; take "):
            configuration(archive, dataset, *overrides)
        return
    extra = ("prior.components=2",) if model in ("ae", "vade") else ()
    extra += ("divergence.features=8",) if model.endswith("gan") else ()
    train_a_step(configuration(archive, dataset, *overrides, *extra))


@pytest.mark.parametrize(
    ("network", "posterior", "objective"),
    pairs(
        NETWORKS,
        POSTERIORS,
        OBJECTIVES,
        among=lambda n, p, o: n == "mlp" or (p, o) in ALWAYS,
    ),
)
def test_networks_posteriors_and_objectives_combine_or_are_refused(network, posterior, objective, archive):
    overrides = [f"network={network}", f"posterior={posterior}", f"objective={objective}", *SMALL_NETWORKS[network]]
    if objective.endswith("gamma"):
        overrides += ["prior=mixture", "prior.components=3"]
    if objective.endswith("gan"):
        overrides += ["divergence.features=8"]
    if (posterior in QUANTISED) != (objective == "vq"):
        refusal = "is of codes, .* is not; take "
    elif posterior in QUANTISED:
        refusal = "prior Normal .* is not; take prior=code_transformer or posterior=.*diagonal.* objective=.*elbo"
    elif (posterior == "none") != (objective == "gan"):
        refusal = "has no encoder; take posterior=|trains none; take objective="
    elif network == "conv_grid" and posterior not in (*SITEWISE, "none"):
        refusal = "mixes its sites; take posterior=.*diagonal"
    elif objective not in ("reconstruction", "wae", "mmd_vae", "aae") and posterior == "deterministic":
        refusal = "density"
    elif posterior in LAYERED:
        refusal = "single layer|entropy|factorises|several layers"
    elif objective.endswith("gamma") and posterior not in GAUSSIAN:
        refusal = "entropy"
    elif objective.startswith("tcvae") and posterior not in FACTORISED:
        refusal = "factorises"
    else:
        train_a_step(configuration(archive, "digits", *overrides))
        return
    with pytest.raises(ConfigError, match=refusal):
        configuration(archive, "digits", *overrides)


@pytest.mark.parametrize("codebook", ["ema", "loss"])
@pytest.mark.parametrize("network", ["conv_grid", "mlp"])
@pytest.mark.parametrize("posterior", QUANTISED)
def test_codebooks_combine_with_every_gradient(posterior, network, codebook, archive):
    choices = (f"posterior={posterior}", f"network={network}", "posttraining=prior")
    overrides = (*choices, *OF_CODES, f"codebook={codebook}", *SMALL_NETWORKS[network])
    train_a_step(configuration(archive, "digits", *overrides))


@pytest.mark.parametrize("prior", ["gaussian", "flow", "mixture"])
def test_other_priors_may_be_trained_alone_at_the_end(prior, archive):
    train_a_step(configuration(archive, "digits", f"prior={prior}", "posttraining=prior", *SMALL_NETWORKS["mlp"]))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_priors_and_posteriors_combine_or_are_refused(prior, posterior, archive):
    sizes = {"mixture": ["prior.components=3"], "ex_post": ["prior.components=2"], "vamp": ["prior.pseudo_inputs=4"]}
    overrides = [f"prior={prior}", f"posterior={posterior}", *SMALL_NETWORKS["mlp"], *sizes.get(prior, [])]
    if posterior == "deterministic":
        overrides += ["objective=reconstruction"]
    if posterior in LAYERED:
        overrides += ["model=hvae", "model.below=[4]", "model.hidden=[6]", "posterior.hidden=[6]"]
    if posterior in QUANTISED:
        overrides += ["objective=vq", "codebook=ema", "posttraining=prior"]
    if posterior == "none":
        overrides += ["objective=gan", "divergence.features=8"]
    fits = prior in ("normal", "ex_post") if posterior == "deterministic" else prior != "ex_post"
    fits = fits and not (prior == "vamp" and posterior in LAYERED)
    fits = prior == "normal" if posterior == "none" else fits
    if posterior in QUANTISED or prior == "code_transformer":
        fits = posterior in QUANTISED and prior == "code_transformer"
    if fits:
        train_a_step(configuration(archive, "digits", *overrides))
    else:
        with pytest.raises(ConfigError, match="; take "):
            configuration(archive, "digits", *overrides)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_divergences_pull_every_posterior(divergence, posterior, archive):
    overrides = ["objective=infovae", f"divergence={divergence}", f"posterior={posterior}", *SMALL_NETWORKS["mlp"]]
    if posterior in LAYERED:
        overrides += ["model=hvae", "model.below=[4]", "model.hidden=[6]", "posterior.hidden=[6]"]
    if posterior == "deterministic":
        overrides += ["objective.alpha=1"]
    if posterior == "none":
        with pytest.raises(ConfigError, match="has no encoder; take"):
            configuration(archive, "digits", *overrides)
    elif divergence.startswith("critic"):
        with pytest.raises(ConfigError, match=r"is of codes|judges x; take divergence=adversarial.* or objective=gan"):
            configuration(archive, "digits", *overrides)
    elif posterior in QUANTISED:
        with pytest.raises(ConfigError, match=r"is of codes, objective InfoVAE .* is not"):
            configuration(archive, "digits", *overrides)
    elif divergence == "none":
        with pytest.raises(ConfigError, match="weighs a divergence"):
            configuration(archive, "digits", *overrides)
    else:
        train_a_step(configuration(archive, "digits", *overrides))


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("model", ["gan", "vae_gan"])
def test_adversarial_models_of_x_take_what_judges_x(model, divergence, archive):
    overrides = [f"model={model}", f"divergence={divergence}", *SMALL_NETWORKS["conv"]]
    if divergence.startswith("critic"):
        overrides += ["divergence.features=8"]
    elif model == "vae_gan" or divergence == "none" or divergence.startswith("adversarial"):
        with pytest.raises(ConfigError, match="; take "):
            configuration(archive, "digits", *overrides)
        return
    train_a_step(configuration(archive, "digits", *overrides))


@pytest.mark.parametrize("annealing", ANNEALING)
@pytest.mark.parametrize("objective", ["elbo", "infovae", "tcvae"])
def test_every_annealing_trains_every_objective_with_weights(annealing, objective, archive):
    overrides = [f"objective={objective}", f"annealing={annealing}", *SMALL_NETWORKS["mlp"]]
    train_a_step(configuration(archive, "digits", *overrides))


@pytest.mark.parametrize(
    ("network", "pretraining", "initialisation"),
    pairs(NETWORKS, PRETRAINING, INITIALISATIONS, among=lambda n, p, i: n == "mlp" or i == "codes"),
)
def test_pretraining_and_initialisation_combine_with_every_network_or_are_refused(
    network, pretraining, initialisation, archive
):
    choices = (f"pretraining={pretraining}", f"initialisation={initialisation}", "model=vade", f"network={network}")
    overrides = (*choices, "prior.components=3", *SMALL_NETWORKS[network])
    if pretraining == "layerwise" and not network.startswith("mlp"):
        with pytest.raises(ConfigError, match=r"; take network=mlp.* or pretraining=denoising"):
            configuration(archive, "digits", *overrides)
        return
    train_a_step(configuration(archive, "digits", *overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["posterior=top_down"], "several layers of latents, model VAE .* has one; take model=hvae or posterior="),
        (["model=hvae", "posterior=diagonal"], "has layers of latents, .*; take posterior=bottom_up.graph.top_down or"),
        (["model=hvae", "objective=dreg"], "single layer of latents, posterior BottomUp .* has several; take"),
        (["model=hvae", "model.generation={x: [z1]}"], "model.generation.z1: needs parents, of x, z2"),
        (["model=hvae", "objective.free_bits=[0.1]"], "free_bits=.0.1.: the model has 2 layers of latents"),
        (["objective=infovae", "objective.lambda_=0.5"], "alpha \\+ lambda_ - 1 = -0.5, .*; take objective.lambda_=1"),
        (["model=wae", "objective.alpha=0"], "weighs the rate, .*; take objective.alpha=1 or posterior="),
        (["model=wae", "prior=gaussian"], "learns through the rate, .* take prior=ex_post.normal or objective=.*elbo"),
        (["objective=iwae", "annealing=linear"], "no weight to anneal; take objective=.*elbo.* or annealing=none"),
        (["annealing=cyclical", "annealing.weights=[lambda]"], "lambda is none of objective ELBO .*; it has beta"),
        (["divergence=mmd"], "is not in objective ELBO .*; take objective=.*infovae.* or divergence=none"),
        (["model=wae", "objective=elbo"], "needs the density"),
        (["model=vqvae", "codebook=none"], "Quantised .* needs a codebook; take codebook=ema.loss or posterior="),
        (["codebook=ema"], "MovingAverages .* is not used by posterior Diagonal .*; take posterior=quantised.* or"),
        (["model=vqvae", "objective=elbo"], "is of codes, objective ELBO .* is not; take objective=vq or posterior="),
        (["prior=code_transformer"], "CodeTransformer .* is of codes, posterior Diagonal .* take posterior=quantised"),
        (
            ["model=vqvae", "pretraining=plain"],
            "moves z by its gradient, .* in steps; take posterior=.*pretraining=none",
        ),
        (["posttraining=prior"], "lets the prior learn alone, prior Normal .*; take prior=.*code_transformer.* or"),
        (["posttraining=prior", "prior=vamp"], "prior Vamp .* does not; take prior="),
        (["model=vqvae", "trainer.devices=2"], "divides each batch, objective VectorQuantisation"),
        (["model=vqvae", "annealing=linear"], "no weight to anneal"),
        (["initialisation=umap"], "prior Normal .* has none; take prior=mixture or initialisation=none"),
        (["objective=optimal_gamma"], "prior Normal .* has none; take prior=mixture or objective=.*elbo"),
        (["model=vade", "prior=ex_post"], "posterior Diagonal .* has a bound, which needs the prior while training"),
        (["dataset=mnist", "dataset.pooled=true"], "dataset.pooled=true .* take dataset.val_size=0"),
        (["model=vade", "posterior=deterministic", "objective=reconstruction"], "initialisation=none"),
    ],
)
def test_combinations_that_cannot_work_are_refused_with_the_way_out(overrides, message, archive):
    with pytest.raises(ConfigError, match=message):
        configuration(archive, "digits", *overrides)
