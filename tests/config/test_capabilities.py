"""Capabilities: each word exists, is used, and refuses or allows a combination."""

import re
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import pytest
from omegaconf import OmegaConf

from tests.support.configs import unchecked
from tests.support.contract import configuration
from vae_cli.capabilities import CAPABILITIES, GROUPS, Capable
from vae_cli.config import signatures
from vae_cli.config.check import check
from vae_cli.config.rules import RULES
from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError

QUANTISED = ("posterior=quantised", "codebook=ema", "prior=code_transformer", "objective=vq", "second_stage=prior")
CATEGORICAL = ("posterior=categorical", "prior=categorical", "model.latent_dim=8")
HIERARCHY = ("model=hvae", "model.below=[4]")
REFUSED = {
    "categories": ("posterior=categorical", "model.latent_dim=8"),
    "codes": ("prior=code_transformer",),
    "compares_x": ("model=gan", "divergence=latent_discriminator"),
    "compares_z": ("model=aae", "divergence=image_discriminator"),
    "continuous": (*QUANTISED, "pretraining=plain"),
    "density": ("posterior=deterministic",),
    "divergence": ("divergence=mmd",),
    "encoder": ("posterior=per_example", "prior=vamp"),
    "entropy": ("model=vade", "posterior=iaf"),
    "expectation": (*CATEGORICAL, "objective=iwae"),
    "factorised": ("posterior=full_covariance", "objective=tcvae"),
    "features": ("model=vae_gan", "divergence=mmd"),
    "inference": ("posterior=none",),
    "joint": ("prior=ex_post",),
    "layers": ("posterior=top_down",),
    "mirrored": ("network=linear", "pretraining=layerwise"),
    "mixture": ("objective=vade_analytic",),
    "refinable": ("posterior=iaf", "refinement=semi_amortised"),
    "separate": ("prior=vamp", "second_stage=prior"),
    "single_layer": (*HIERARCHY, "objective=factorvae"),
    "spatial": ("network=conv_spatial", "posterior=full_covariance"),
}
"""A combination that lacks the word; rules with arithmetic ask for the other words."""
ALLOWED = {
    "categories": CATEGORICAL,
    "codes": QUANTISED,
    "compares_x": ("model=gan",),
    "compares_z": ("model=aae",),
    "continuous": ("pretraining=plain",),
    "density": (),
    "divergence": ("model=aae", "divergence=mmd"),
    "encoder": ("prior=vamp",),
    "entropy": ("model=vade", "initialisation=none"),
    "expectation": CATEGORICAL,
    "factorised": ("objective=tcvae",),
    "features": ("model=vae_gan",),
    "inference": (),
    "joint": ("prior=flow",),
    "layers": (*HIERARCHY, "posterior=top_down"),
    "mirrored": ("pretraining=layerwise",),
    "mixture": ("objective=vade_analytic", "prior=mixture"),
    "refinable": ("refinement=semi_amortised",),
    "separate": ("prior=flow", "second_stage=prior"),
    "single_layer": ("objective=factorvae",),
    "spatial": ("network=conv_spatial",),
}


def classes() -> list[signatures.Signature]:
    """The classes of all options of the groups."""
    sources, found = Sources.find(), []
    for group in sources.groups():
        for option in sources.options(group):
            file = sources.file(f"{group}/{option}")
            text = file.read_text(encoding="utf-8") if file else ""
            found += [signatures.read(name) for name in re.findall(r"^ *_target_: *(vae_cli\.[\w.]+)", text, re.M)]
    return found


@pytest.mark.parametrize("word", sorted(REFUSED))
def test_a_requirement_that_is_not_met_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="; use ") as caught:
        configuration("digits", *REFUSED[word])
    assert caught.value.rule == "capabilities"
    assert f"needs {CAPABILITIES[word]}, which" in str(caught.value)


@pytest.mark.parametrize("word", sorted(ALLOWED))
def test_a_requirement_that_is_met_is_allowed(word: str) -> None:
    configuration("digits", *ALLOWED[word])


@pytest.mark.parametrize(
    ("overrides", "key", "remedy"),
    [
        (("model=vqvae", "codebook=none"), "posterior.codebook", "codebook=ema|loss"),
        (("posterior=per_example", "refinement=none"), "posterior.refinement", "refinement=alternating_svi"),
        (("model=gan", "divergence=none"), "objective.divergence", "divergence=image_discriminator"),
        (("codebook=ema",), "codebook.posterior", "codebook=none"),
        (("divergence=mmd",), "divergence.objective", "divergence=none"),
        (("model=vqvae", "second_stage=none"), "prior.second_stage", "second_stage=prior"),
    ],
)
def test_optional_groups_are_chosen_where_they_are_required_and_only_there(
    overrides: tuple[str, ...], key: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration("digits", *overrides)
    assert (caught.value.rule, caught.value.key) == ("capabilities", key)
    assert remedy in str(caught.value).partition("; use ")[2]


def test_each_word_is_provided_by_a_class_or_required_of_the_trainer() -> None:
    provided = {word for one in classes() for word in one.provides}
    assert provided == set(CAPABILITIES) - {"whole_batch"}


def test_each_required_word_is_provided_by_an_option_of_the_group() -> None:
    required = {(group, word) for one in classes() for group, words in one.requires.items() for word in words}
    assert {word for _, word in required} == set(REFUSED) | {"whole_batch"}
    for group, word in required - {("trainer", "whole_batch")}:
        assert any(word in signatures.read(target).provides for target in targets(group)), (group, word)


def targets(group: str) -> list[str]:
    sources = Sources.find()
    files = [sources.file(f"{group}/{option}") for option in sources.options(group)]
    texts = [file.read_text(encoding="utf-8") for file in files if file]
    return [name for text in texts for name in re.findall(r"^ *_target_: *(vae_cli\.[\w.]+)", text, re.M)]


def test_every_rule_has_an_id() -> None:
    names = [rule.__name__ for rule in RULES]
    assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)


def test_a_misspelt_word_fails_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"class Wrong: 'densty' is not a capability; nearest: 'density'"):

        class Wrong(Capable):
            provides: ClassVar = ("densty",)


def test_a_misspelt_group_fails_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"class Wrong: 'posteriors' is not a group; nearest: 'posterior'"):

        class Wrong(Capable):
            requires: ClassVar = {"posteriors": ("density",)}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('provides: ClassVar = ("densty",)', "class Mine: 'densty' is not a capability; nearest: 'density'"),
        ('requires: ClassVar = {"prior": ("mixtures",)}', "'mixtures' is not a capability; nearest: 'mixture'"),
        ('provides: ClassVar = tuple(["density"])', "class Mine: provides is not a literal"),
    ],
)
def test_a_misspelt_word_of_a_plugin_is_an_error_of_the_check(
    line: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"plugin_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(f"from typing import ClassVar\nclass Mine:\n    {line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VAE_PLUGINS", name)
    config = unchecked()
    OmegaConf.set_struct(config, False)
    config.prior = {"_target_": f"{name}.Mine"}
    with pytest.raises(ConfigError, match=re.escape(fault)) as caught:
        check(config)
    assert f"{name}.py" in str(caught.value) and caught.value.key == "prior._target_"


def test_groups_are_those_of_the_configuration() -> None:
    assert set(GROUPS) <= {field.name for field in fields(TrainConfig)}
