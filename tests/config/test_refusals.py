"""Combinations that cannot work: one line that names both sides and the way out, and the id of its rule."""

import pytest

from tests.support.contract import configuration
from vae_cli.config.rules import RULES
from vae_cli.errors import ConfigError
from vae_cli.training.build import build_optimizer

CASES = [
    (["model=hvae", "model.generation={x: [z1]}"], "latent_graphs", "model.generation.z1"),
    (["model=hvae", "posterior=graph", "posterior.parents={z1: [z2], z2: [z1]}"], "latent_graphs", "posterior.parents"),
    (["model=hvae", "objective.free_bits=[0.1]"], "free_bits_layers", "objective.free_bits"),
    (["objective.free_bits=[0.1,0.3]"], "free_bits_layers", "objective.free_bits"),
    (
        ["posterior=categorical", "prior=categorical", "model.latent_dim=10"],
        "categories_divide",
        "model.latent_dim",
    ),
    (["objective=infovae", "objective.lambda_=0.5"], "divergence_weight", "objective.lambda_"),
    (["objective=infovae", "objective.alpha=1.5"], "rate_weight", "objective.alpha"),
    (["model=wae", "objective.alpha=0"], "rate_density", "objective.alpha"),
    (["model=wae", "prior=gaussian"], "prior_gradient", "prior"),
    (["model=hvae", "objective=reconstruction"], "upper_layers", "objective"),
    (["posterior=per_example", "dataset.binarize=dynamic"], "per_example_binarize", "dataset.binarize"),
    (["posterior=per_example", "objective.beta=2"], "per_example_objective", "refinement.train_steps"),
    (["posterior=per_example", "objective.free_bits=[0.5]"], "per_example_objective", "refinement.train_steps"),
    (["posterior=per_example", "annealing=linear"], "per_example_objective", "refinement.train_steps"),
    (
        ["posterior=per_example", "refinement=alternating_svi", "objective=iwae", "refinement.train_steps=3"],
        "per_example_objective",
        "refinement.train_steps",
    ),
    (["posterior=per_example", "trainer.devices=2"], "whole_batch", "trainer.devices"),
    (["trainer.devices=2", "dataset.batch_size=1"], "whole_batch", "dataset.batch_size"),
    (["posterior=iaf", "evaluate=gaps"], "gaps_posterior", "evaluate.gaps"),
    (["objective=iwae", "annealing=linear"], "annealing_weights", "annealing"),
    (["model=vqvae", "annealing=linear"], "annealing_weights", "annealing"),
    (["annealing=cyclical", "annealing.weights=[lambda]"], "annealing_weights", "annealing.weights"),
    (["model=vae_gan", "trainer.patience=3"], "patience_selection", "trainer.patience"),
    (["optimizer.lr=-1"], "optimizer_range", "optimizer.lr"),
    (["optimizer.eps=0"], "optimizer_range", "optimizer.eps"),
    (["optimizer.betas=[0.9,1.0]"], "optimizer_range", "optimizer.betas"),
    (["optimizer=sgd", "optimizer.momentum=0"], "nesterov_momentum", "optimizer.nesterov"),
    (["optimizer=sgd", "+optimizer.dampening=0.5"], "nesterov_momentum", "optimizer.nesterov"),
    (["dataset=mnist", "dataset.pooled=true"], "pooled_validation", "dataset.pooled"),
    (["dataset=gaussian_mixture", "likelihood=bernoulli"], "likelihood_support", "likelihood"),
    (["network=conv", "dataset=linear_gaussian"], "network_layout", "network"),
    (
        ["dataset=array", "dataset.path=x", "dataset.domain=real", "dataset.binarize=static", "likelihood=bernoulli"],
        "binarize_domain",
        "dataset.binarize",
    ),
    (
        ["dataset=array", "dataset.path=x", "dataset.domain=unit", "dataset.standardise=true"],
        "standardise_domain",
        None,
    ),
    (["dataset.val_size=0", "trainer.patience=2"], "validation_split", "trainer.patience"),
    (["dataset.val_size=0", "evaluate.split=val"], "validation_split", "evaluate.split"),
    (["trainer.precision=16-mixed", "trainer.accelerator=cpu"], "half_precision", "trainer.precision"),
    (["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"], "fused_clipping", "trainer.precision"),
]


@pytest.mark.parametrize(("overrides", "rule", "key"), CASES)
def test_combinations_that_cannot_work_are_refused_with_the_way_out(overrides, rule, key):
    with pytest.raises(ConfigError, match=r"; (use|remove) ") as caught:
        configuration("digits", *overrides)
    assert caught.value.rule == rule
    assert key is None or caught.value.key == key


def test_every_rule_is_tried():
    """The rule of capabilities has tests of its own."""
    assert {rule.__name__ for rule in RULES} - {"capabilities"} == {rule for _, rule, _ in CASES}


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        (["objective.free_bits=[0.1,0.3]"], "objective.free_bits=0.3 or one number for each"),
        (["objective=infovae", "objective.lambda_=0.5"], "objective.lambda_=1 or more"),
        (["optimizer=sgd", "+optimizer.dampening=0.5"], "optimizer.momentum=0.9 optimizer.dampening=0 or"),
        (["posterior=per_example", "annealing=linear"], "or annealing=none"),
        (["posterior=per_example", "objective.beta=2", "annealing=linear"], "or objective.beta=1 annealing=none"),
        (["posterior=per_example", "objective.free_bits=[0.5]"], "or objective.free_bits=0"),
        (
            ["posterior=per_example", "objective=tcvae", "refinement.train_steps=3"],
            "or objective=elbo objective.beta=1",
        ),
        (
            ["dataset=array", "dataset.path=x", "dataset.binarize=static", "likelihood=bernoulli"],
            "dataset.binarize=none likelihood=gaussian|gaussian_decoder|gaussian_learned or dataset.domain=unit|levels",
        ),
    ],
)
def test_remedies_have_the_values_that_fit(overrides, remedy):
    with pytest.raises(ConfigError) as caught:
        configuration("digits", *overrides)
    assert remedy in str(caught.value).partition("; use ")[2]


def test_what_an_optimizer_of_torch_does_not_take_is_refused_before_training():
    config = configuration("digits", "+optimizer.foreach=true")
    with pytest.raises(ConfigError, match=r"optimizer torch.optim.Adam: .*fused.* and .*foreach.*; change that"):
        build_optimizer(config.optimizer)
