"""Every preset on every kind of data with every likelihood, pretraining, initialisation and annealing."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.configs import composed
from tests.support.contract import DATASETS, SMALL_NETWORKS, configuration, options, pairs, train_a_step
from vae_cli.errors import ConfigError

MODELS, LIKELIHOODS, NETWORKS = map(options, ("model", "likelihood", "network"))
PRETRAINING, INITIALISATIONS, ANNEALING = map(options, ("pretraining", "initialisation", "annealing"))
DOMAINS = {
    "digits": "binary",
    "digits grey": "unit",
    "linear_gaussian": "real",
    "gaussian_mixture": "real",
    "npz bytes": "levels",
}
VECTORS = ("linear_gaussian", "gaussian_mixture")
USUAL = {"binary": "bernoulli", "unit": "continuous_bernoulli", "real": "gaussian", "levels": "discretised_logistic"}


def usual(model: str, dataset: str) -> str:
    return "gaussian" if model.endswith("gan") else USUAL[DOMAINS[dataset]]


def by_default(model: str, dataset: str, likelihood: str) -> bool:
    """Every preset on digits, every likelihood on one dataset of each domain, and what vectors refuse and allow."""
    if likelihood == usual(model, dataset) and (dataset == "digits" or model in ("vade", "conv_vae")):
        return True
    return model == "vae" and dataset not in ("digits", "gaussian_mixture")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "colour images.npz"
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 9, 8), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(40) % 3)
    return path


def test_the_published_protocol_composes():
    config = composed("experiment=vade_paper")
    assert (
        config.dataset.arguments["pooled"]
        and config.dataset.arguments["val_size"] == 0
        and config.trainer.max_epochs == 300
    )
    assert config.objective.name == "VaDE" and config.network.arguments["hidden"] == [500, 500, 2000]


@pytest.mark.parametrize(
    ("model", "dataset", "likelihood"),
    pairs(MODELS, DATASETS, LIKELIHOODS, among=by_default),
)
def test_every_preset_on_every_dataset_with_every_likelihood(model, dataset, likelihood, archive):
    from vae_cli.models import likelihoods

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
    networks = {"conv_vae": "conv", "vqvae": "conv_spatial", "gan": "conv", "vae_gan": "conv"}
    domain = "unit" if model.endswith("gan") and dataset == "digits" else DOMAINS[dataset]  # its preset binarises none
    allowed = domain in classes[likelihood].support and not (model in networks and dataset in VECTORS)
    network = SMALL_NETWORKS[networks.get(model, "mlp")]
    overrides = [f"model={model}", f"likelihood={likelihood}", *network]
    if dataset.startswith("npz"):
        overrides.append(f"dataset.path='{archive}'")
    if not allowed:
        with pytest.raises(ConfigError, match="; use "):
            configuration(dataset, *overrides)
        return
    extra = ("prior.components=2",) if model in ("ae", "vade") else ()
    extra += ("initialisation=gmm",) if model == "vade" else ()
    extra += ("divergence.width=8",) if model.endswith("gan") else ()
    train_a_step(configuration(dataset, *overrides, *extra))


@pytest.mark.parametrize(
    ("annealing", "objective"),
    pairs(ANNEALING, ["elbo", "infovae", "tcvae"], among=lambda a, o: o == "elbo" or a == "linear"),
)
def test_every_annealing_trains_every_objective_with_weights(annealing, objective):
    overrides = [f"objective={objective}", f"annealing={annealing}", *SMALL_NETWORKS["mlp"]]
    train_a_step(configuration("digits", *overrides))


@pytest.mark.parametrize(
    ("network", "pretraining", "initialisation"),
    pairs(
        NETWORKS,
        PRETRAINING,
        INITIALISATIONS,
        among=lambda n, p, i: (
            (n == "mlp" and i != "umap_gmm" and (p == "none" or i == "gmm"))
            or (p, i) == ("plain", "gmm")
            or (n, p, i) == ("conv", "layerwise", "gmm")
        ),
    ),
)
def test_pretraining_and_initialisation_combine_with_every_network_or_are_refused(network, pretraining, initialisation):
    choices = (f"pretraining={pretraining}", f"initialisation={initialisation}", "model=vade", f"network={network}")
    overrides = (*choices, "prior.components=3", *SMALL_NETWORKS[network])
    if pretraining == "layerwise" and not network.startswith("mlp"):
        with pytest.raises(ConfigError, match=r"; use network=mlp.* or pretraining=denoising"):
            configuration("digits", *overrides)
        return
    train_a_step(configuration("digits", *overrides))
