"""Combinations that cannot work: one line that names both sides and the way out."""

import pytest

from tests.support.contract import configuration
from vae_cli.errors import ConfigError
from vae_cli.training.build import build_optimizer


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["posterior=top_down"],
            "several layers of latents, model LatentVariableModel .* has one; take model=hvae or posterior=",
        ),
        (["model=hvae", "posterior=diagonal"], "has layers of latents, .*; take posterior=bottom_up.graph.top_down or"),
        (["model=hvae", "objective=factorvae"], "single layer of latents, posterior BottomUp .* has several; take"),
        (["model=hvae", "model.generation={x: [z1]}"], "model.generation.z1: needs parents, of x, z2"),
        (["model=hvae", "objective.free_bits=[0.1]"], "free_bits=.0.1.: the model has 2 layers of latents"),
        (["objective.free_bits=[0.1,0.3]"], "one layer of latents .*; take objective.free_bits=0.3 or one .*=.0.1.$"),
        (["objective=infovae", "objective.lambda_=0.5"], "alpha \\+ lambda_ - 1 = -0.5, .*; take objective.lambda_=1"),
        (["model=wae", "objective.alpha=0"], "weighs the rate, .*; take objective.alpha=1 or posterior="),
        (["model=wae", "prior=gaussian"], "learns through the rate, .* take prior=ex_post.normal or objective=.*elbo"),
        (
            ["refinement=semi_amortised", "posterior=iaf"],
            "moves the moments of a Gaussian, .*; take posterior=diagonal.full_",
        ),
        (
            ["posterior=per_example", "dataset.binarize=dynamic"],
            "binarize=dynamic .* draws x anew at each visit; take dataset.binarize=static or posterior",
        ),
        (
            ["posterior=per_example", "refinement=none"],
            "not trained on; take refinement=alternating_svi.semi_amortised.test_time or posterior=.*diag",
        ),
        (["posterior=per_example", "prior=vamp"], "without an encoder; take posterior="),
        (["posterior=per_example", "pretraining=plain"], "trains an encoder, .* pretraining=none"),
        (["posterior=per_example", "trainer.devices=2"], "keeps what it learns of them; take one device or posterior="),
        (
            ["posterior=per_example", "objective.beta=2"],
            "up the ELBO alone, .*ELBO .*; take refinement.train_steps=0",
        ),
        (
            ["posterior=per_example", "objective.free_bits=[0.5]"],
            "up the ELBO alone, .*; take refinement.train_steps=0",
        ),
        (
            ["posterior=per_example", "annealing=linear"],
            "take refinement.train_steps=0, or objective=elbo annealing=none as",
        ),
        (
            ["posterior=per_example", "refinement=alternating_svi", "objective=iwae", "refinement.train_steps=3"],
            "up the ELBO alone, objective IWAE.*; take refinement.train_steps=0",
        ),
        (
            ["posterior=per_example", "prior=mixture", "initialisation=umap_gmm"],
            "clusters encoded x, .* is without an encoder; take posterior=.*diagonal.* or initialisation=none",
        ),
        (
            ["posterior=iaf", "evaluate=gaps"],
            "with the best Gaussian, posterior Autoreg.*; take posterior=diagonal.* or evaluate=standard",
        ),
        (["objective=infovae", "objective.alpha=1.5"], "weight 1 - alpha = -0.5, .*; take objective.alpha=1 or less"),
        (["objective=iwae", "annealing=linear"], "no weight to anneal; take objective=.*elbo.* or annealing=none"),
        (["annealing=cyclical", "annealing.weights=[lambda]"], "lambda is none of objective ELBO .*; it has beta"),
        (["divergence=mmd"], "is not in objective ELBO .*; take objective=.*infovae.* or divergence=none"),
        (["model=wae", "objective=elbo"], "needs the density"),
        (["model=vqvae", "codebook=none"], "Quantised .* needs a codebook; take codebook=ema.loss or posterior="),
        (["codebook=ema"], "MovingAverages .* is not used by posterior Diagonal .*; take posterior=quantised.* or"),
        (["model=vqvae", "objective=elbo"], "is of codes, objective ELBO .* is not; take objective=vq or posterior="),
        (
            ["prior=code_transformer"],
            "is of codes, posterior Diagonal .* take posterior=quantised.quantised_rotation objective=vq or prior=",
        ),
        (
            ["model=vqvae", "pretraining=plain"],
            "moves z by its gradient, .* in steps; take posterior=.*pretraining=none",
        ),
        (["second_stage=prior"], "lets the prior learn alone, prior Normal .*; take prior=.*code_transformer.* or"),
        (["second_stage=prior", "prior=vamp"], "prior VampPrior .* does not; take prior="),
        (["model=vqvae", "trainer.devices=2"], "divides each batch, objective VectorQuantisation"),
        (["model=vqvae", "annealing=linear"], "no weight to anneal"),
        (["optimizer.lr=-1"], "optimizer.lr=-1: expected a number >= 0 .*; take optimizer.lr=0.001"),
        (["optimizer.betas=[0.9,1.0]"], "expected numbers >= 0 and < 1 .*; take optimizer.betas=.0.9,0.999."),
        (["optimizer=sgd", "optimizer.momentum=0"], "nesterov=true .*; take optimizer.momentum=0.9 or optimizer.nest"),
        (["optimizer=sgd", "+optimizer.dampening=0.5"], "take optimizer.momentum=0.9 optimizer.dampening=0 or"),
        (["initialisation=umap_gmm"], "prior Normal .* has none; take prior=mixture or initialisation=none"),
        (["objective=vade_analytic"], "prior Normal .* has none; take prior=mixture or objective=.*elbo"),
        (["model=vade", "prior=ex_post"], "posterior Diagonal .* has a bound, which needs the prior while training"),
        (["dataset=mnist", "dataset.pooled=true"], "dataset.pooled=true .* take dataset.val_size=0"),
        (["model=vade", "posterior=deterministic", "objective=reconstruction"], "initialisation=none"),
        (
            ["dataset=gaussian_mixture", "likelihood=bernoulli"],
            "gives real data; take likelihood=gaussian.* or dataset=.*digits.* with dataset.binarize=dynamic",
        ),
    ],
)
def test_combinations_that_cannot_work_are_refused_with_the_way_out(overrides, message):
    with pytest.raises(ConfigError, match=message):
        configuration("digits", *overrides)


def test_what_an_optimizer_of_torch_does_not_take_is_refused_before_training():
    config = configuration("digits", "+optimizer.foreach=true")
    with pytest.raises(ConfigError, match=r"optimizer torch.optim.Adam: .*fused.* and .*foreach.*; change that"):
        build_optimizer(config.optimizer)
