"""Adversarial models of images: the optimal discriminator, gradients of each player, refusals."""

import math

import pytest
import torch

from tests.support.configs import composed
from tests.support.evaluation import evaluated
from tests.support.models import (
    IMAGE,
    START,
    batch_of,
    binary_images,
    binary_vae,
    got_gradient,
    image_discriminator,
    small_mlp,
)
from vae_cli.errors import ConfigError, UserError
from vae_cli.evaluation.metrics.images import COMPARED
from vae_cli.figures.vectors import draws
from vae_cli.models import likelihoods, priors
from vae_cli.models.model import LatentVariableModel
from vae_cli.models.posteriors import Diagonal, NoEncoder
from vae_cli.objectives import VAEGAN, GANLoss
from vae_cli.objectives.divergences import RBFMMD, ImageDiscriminator

D = math.prod(IMAGE)


def grey_vae(posterior: type[Diagonal] | None = Diagonal) -> LatentVariableModel:
    network = small_mlp()
    q = posterior(network, IMAGE, 3) if posterior else NoEncoder()
    return LatentVariableModel(q, priors.Normal(3), likelihoods.Gaussian(network, 3, IMAGE, scale=1.0), latent_dim=3)


def test_a_generator_alone_learns_from_the_divergence_alone():
    model, batch = grey_vae(None), batch_of(binary_images(8))
    objective = GANLoss(image_discriminator())
    terms = objective(model, batch, START)
    torch.testing.assert_close(terms.loss, terms.metrics["divergence"] + terms.metrics["discriminator_loss"])
    assert set(terms.metrics) == {"loss", "divergence", "discriminator_loss", "discriminator_accuracy"}
    terms.metrics["discriminator_loss"].backward()
    assert all(got_gradient(objective.divergence.discriminator)) and not any(got_gradient(model))
    objective.zero_grad()
    objective(model, batch, START).metrics["divergence"].backward()
    assert all(got_gradient(model)) and not any(got_gradient(objective.divergence.discriminator))


def test_with_mmd_it_is_a_moment_matching_network():
    model, batch = grey_vae(None), batch_of(binary_images(8))
    divergence = RBFMMD(bandwidths=[3.0], unbiased=True)
    torch.manual_seed(1)
    terms = GANLoss(divergence)(model, batch, START)
    torch.manual_seed(1)
    torch.testing.assert_close(terms.loss, divergence(model.sample(8).flatten(1), batch.x.flatten(1)))
    assert set(terms.metrics) == {"loss", "divergence"}


def vae_gan(beta: float = 1.0, adversarial: float = 1.0) -> VAEGAN:
    return VAEGAN(image_discriminator(), beta=beta, adversarial=adversarial)


def test_the_terms_of_a_vae_gan_add_up_and_its_elbo_is_the_models():
    model, batch = grey_vae(), batch_of(binary_images(8))
    objective = vae_gan(beta=0.3, adversarial=2.0)
    torch.manual_seed(1)
    m = (terms := objective(model, batch, START)).metrics
    parts = 0.3 * m["rate"] + m["feature_distortion"] + 2.0 * m["divergence"] + m["discriminator_loss"]
    torch.testing.assert_close(terms.loss, parts)
    torch.manual_seed(1)
    trace = model.trace(batch, model.encode(batch), 1)
    torch.testing.assert_close(m["elbo"], trace.elbo.mean())
    torch.testing.assert_close(m["distortion"], trace.distortion.mean())


def test_the_encoder_learns_nothing_from_the_critics_judgement():
    model, batch = grey_vae(), batch_of(binary_images(8))
    objective = vae_gan()
    objective(model, batch, START).metrics["divergence"].backward()
    assert not any(got_gradient(model.posterior)) and all(got_gradient(model.likelihood))
    assert not any(got_gradient(objective))
    model.zero_grad()
    objective(model, batch, START).metrics["feature_distortion"].backward()
    assert all(got_gradient(model.posterior)) and all(got_gradient(model.likelihood))
    assert not any(got_gradient(objective))
    model.zero_grad()
    objective(model, batch, START).metrics["discriminator_loss"].backward()
    assert not any(got_gradient(model)) and all(got_gradient(objective))


def test_the_feature_distortion_is_half_a_squared_distance_and_zero_at_x():
    objective, x = vae_gan(), torch.rand(5, D)
    assert objective.feature_distortion(x, x).eq(0).all()
    other = torch.rand(5, D)
    f = objective.divergence.features
    expected = torch.stack([(f(a[None]) - f(b[None])).norm() ** 2 / 2 for a, b in zip(x, other, strict=True)])
    torch.testing.assert_close(objective.feature_distortion(x, other), expected)


def test_a_model_without_an_encoder_says_so():
    model = grey_vae(None)
    assert not model.infers and not model.has_density and binary_vae().infers
    with pytest.raises(UserError, match="no encoder"):
        model.encode(batch_of(binary_images(2)))


def test_sample_mmd_is_zero_on_average_for_the_models_own_draws_and_not_for_others():
    settings, model = composed("model=gan").evaluate, grey_vae(None)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    own, shifted = [], []
    for values, shift in ((own, 0.0), (shifted, 0.5)):
        for _ in range(30):
            numbers = evaluated(model, map(batch_of, (model.sample(60) + shift).split(25)), settings)
            assert numbers["examples"] == 60
            values.append(numbers["sample_mmd"])
    values = torch.tensor(own)
    assert abs(values.mean()) < 4 * values.std() / 30**0.5 and min(own) < 0 < min(shifted)


def test_an_evaluation_compares_the_first_images_alone():
    model = LatentVariableModel(
        NoEncoder(), priors.Normal(1), likelihoods.Gaussian(small_mlp(), 1, (1,), scale=1.0), latent_dim=1
    )
    x = torch.randn(COMPARED + 500, 1)
    found = []
    for last in (0.0, 1e6):
        x[COMPARED:] = last
        torch.manual_seed(0)
        numbers = evaluated(model, map(batch_of, x.split(900)), composed("model=gan").evaluate)
        assert numbers["examples"] == COMPARED + 500
        found.append(numbers["sample_mmd"])
    assert found[0] == found[1]


def test_what_a_generator_draws_of_a_table_are_its_means():
    model = LatentVariableModel(
        NoEncoder(), priors.Normal(2), likelihoods.Gaussian(small_mlp(), 2, (4,), scale=1.0), latent_dim=2
    )
    torch.manual_seed(0)
    drawn = draws(model, 300)
    torch.manual_seed(0)
    torch.testing.assert_close(drawn, model.decode(model.prior().sample(torch.Size((300,)))[None]).mean[0])


def test_a_gan_learns_a_line(tmp_path):
    """Points of a Gaussian on a line in the plane: the generator finds its spread and its direction."""
    torch.manual_seed(0)
    direction = torch.tensor([2.0, -1.0])
    config = composed("model=gan", "network=linear", "dataset=gaussian_mixture", "model.latent_dim=1")
    model = LatentVariableModel(
        NoEncoder(),
        priors.Normal(1),
        likelihoods.Gaussian(config.network.build(), 1, (2,), scale=1.0),
        latent_dim=1,
    )
    objective = GANLoss(ImageDiscriminator(small_mlp(), (2,), 1, width=16, spectral_norm=False, penalty=0.5))
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], lr=1e-2, betas=(0.5, 0.999))
    for _ in range(400):
        optimizer.zero_grad()
        objective(model, batch_of(torch.randn(128, 1) * direction), START).loss.backward()
        optimizer.step()
    learned = model.likelihood.decoder[0].weight[:, 0].detach()
    assert torch.minimum((learned - direction).norm(), (learned + direction).norm()) < 0.4


@pytest.mark.parametrize(
    ("overrides", "rule", "key"),
    [
        (["posterior=none"], "capabilities", "objective.posterior"),
        (["model=gan", "posterior=diagonal"], "capabilities", "posterior.objective"),
        (["model=gan", "prior=ex_post"], "capabilities", "prior.posterior"),
        (["model=gan", "prior=vamp"], "capabilities", "prior.posterior"),
        (["model=gan", "prior=mixture"], "prior_gradient", "prior"),
        (["model=gan", "pretraining=plain"], "capabilities", "pretraining.posterior"),
        (["model=gan", "second_stage=prior"], "capabilities", "second_stage.posterior"),
        (["model=gan", "divergence=latent_discriminator"], "capabilities", "objective.divergence"),
        (["model=aae", "divergence=image_discriminator"], "capabilities", "objective.divergence"),
        (["model=gan", "divergence=none"], "capabilities", "objective.divergence"),
        (["model=vae_gan", "divergence=mmd"], "capabilities", "objective.divergence"),
        (["model=vae_gan", "posterior=deterministic"], "capabilities", "objective.posterior"),
        (["model=gan", "annealing=linear"], "annealing_weights", "annealing"),
        (["model=vae_gan", "trainer.patience=3"], "patience_selection", "trainer.patience"),
        (["model=gan", "dataset.binarize=dynamic"], "likelihood_support", "likelihood"),
    ],
)
def test_what_cannot_work_is_refused_by_its_rule(overrides, rule, key):
    with pytest.raises(ConfigError, match="; use ") as caught:
        composed("dataset=digits", *overrides)
    assert (caught.value.rule, caught.value.key) == (rule, key)
