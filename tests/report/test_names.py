"""Names of configurations by the overrides that were typed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.report_folders import write_run
from vae_cli.report.groups import group
from vae_cli.report.runs import find

pytestmark = pytest.mark.usefixtures("workplace")

VADE = {"prior._target_": "vae_cli.models.priors.GaussianMixturePrior", "prior.components": 10, "model.latent_dim": 10}


def typed(name: str, overrides: list[str], settings: dict[str, Any] | None = None) -> None:
    folder = write_run(Path("all") / name, settings)
    (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))


def names() -> list[str]:
    return [one.name for one in group(find([Path("all")]))]


def test_a_preset_that_was_typed_stands_for_the_settings_that_it_changes() -> None:
    typed("a", ["model=vade", "logger=csv"], VADE)
    typed("b", ["model=vae", "trainer.accelerator=cpu"])
    assert names() == ["model=vade", "model=vae"]


def test_a_value_that_was_typed_for_one_run_is_told_of_all() -> None:
    typed("a", ["dataset=mnist"])
    typed("b", ["dataset=mnist", "objective.beta=4", "seed=1"], {"objective.beta": 4.0, "seed": 1})
    typed("c", ["experiment=vade_paper"], VADE)
    assert names() == ["beta=1, experiment=vade_paper", "beta=1", "beta=4"]


def test_settings_distinguish_configurations_with_equal_overrides() -> None:
    typed("a", ["model=vade"], VADE)
    typed("b", ["model=vade"], VADE | {"prior.components": 20})
    typed("c", ["model=vae"])
    assert names() == ["model=vade, components=10", "model=vade, components=20", "model=vae"]


def test_a_name_that_was_given_comes_first() -> None:
    typed("a", ["name=wide", "objective.beta=4"], {"format": 2, "name": "wide", "objective.beta": 4})
    typed("b", ["name=other"], {"format": 2, "name": "other"})
    typed("c", [], {"format": 2, "seed": 1, "name": "yet another"})
    assert names() == ["beta=1", "wide (beta=4)"]  # two names of one configuration are none


def test_numbers_of_a_search_have_the_digits_that_tell_them_apart() -> None:
    for number, rate in enumerate((0.0012520653814999472, 0.008459126528049376)):
        typed(str(number), [f"optimizer.lr={rate}"], {"optimizer.lr": rate})
    assert names() == ["lr=0.001252", "lr=0.008459"]
    typed("2", ["optimizer.lr=0.00125209"], {"optimizer.lr": 0.00125209})
    assert names() == ["lr=0.0012520653815", "lr=0.00125209", "lr=0.00845912652805"]


def test_a_run_with_nothing_typed_has_the_defaults() -> None:
    typed("a", ["model=vade"], VADE)
    typed("b", [])
    assert names() == ["model=vade", "the defaults"]
