"""Each key of the default configuration has one answer to each question about its role."""

import pytest

from tests.support.configs import composed
from vae_cli.config.comparison import flat
from vae_cli.config.compose import Composer, session
from vae_cli.config.schema import plain
from vae_cli.config.settings import OF_CLASSES, keys_that, not_in_names, setting_of
from vae_cli.config.sources import Sources

KEYS = [key for key, _ in flat(plain(composed("dataset=array", "dataset.path=x")))]
MACHINE = {"accelerator", "devices", "num_nodes", "threads"}
WATCHED = {"checkpoint_every", "capture"}


def below(*names: str) -> set[str]:
    return {key for key in KEYS if any(f"{key}.".startswith(f"{name}.") for name in names)}


@pytest.mark.parametrize(
    ("question", "otherwise"),
    [
        (
            "changes_results",
            below(
                "name",
                "tags",
                "resume",
                "reproduce",
                "ckpt",
                "logger",
                "figures",
                "cluster",
                *(f"trainer.{name}" for name in WATCHED),
            ),
        ),
        (
            "distinguishes",
            below(
                "name",
                "tags",
                "seed",
                "resume",
                "reproduce",
                "ckpt",
                "logger",
                "figures",
                "cluster",
                "evaluate.memory_mb",
            )
            | {f"trainer.{name}" for name in MACHINE | WATCHED},
        ),
        ("names_job", below("name", "tags", "cluster")),
        ("selects_data", below("dataset.batch_size", "dataset.memory_gb", "dataset.standardise")),
    ],
)
def test_roles_of_keys(question: str, otherwise: set[str]) -> None:
    assert {key for key in KEYS if not getattr(setting_of(key), question)} == otherwise


def test_keys_that_may_change_on_resume() -> None:
    trainer = {f"trainer.{name}" for name in MACHINE | WATCHED | {"max_epochs", "patience"}}
    assert {key for key in KEYS if setting_of(key).on_resume} == below(
        "name", "tags", "evaluate", "logger", "figures", "cluster", "dataset.path"
    ) | trainer
    named = keys_that(lambda one: one.on_resume)
    others = {"name", "tags", "evaluate", "logger", "figures", "cluster", "callbacks"}
    others |= {"dataset.path", "dataset.root", "dataset.cache"}
    assert others | trainer == set(named)


def test_names_of_jobs_leave_out_cluster() -> None:
    with session():
        config = Composer("train", Sources.find()).compose(["cluster.memory=9", "seed=1"])
    assert config.hydra.job.override_dirname.lstrip("+") == "seed=1"
    assert {"cluster", "cluster.memory", "cluster.options"} <= set(not_in_names())


def test_roles_of_classes_keys_are_of_classes() -> None:
    assert not set(OF_CLASSES) & below("trainer", "evaluate", "logger", "cluster")
    assert not setting_of("dataset.root").changes_results and setting_of("dataset.root").on_resume
