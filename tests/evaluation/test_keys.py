"""The table of the keys of results.json: every key has an entry, and the page shows the entries of now."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.configs import composed
from tests.support.training import train
from vae_cli.evaluation import keys
from vae_cli.evaluation.metrics import METRICS

SMALL = ("trainer.max_epochs=1", "trainer.limit_batches=2", "evaluate.samples=2", "model.latent_dim=2")
MLP = ("dataset=digits", "network.hidden=[8]")
RUNS = {
    "vae": MLP,
    "mixture, from the prior": (*MLP, "prior=mixture", "prior.components=2", "evaluate.estimator=prior"),
    "hierarchy": (*MLP, "model=hvae"),
    "gan": ("dataset=digits", "model=gan", "network=mlp", "network.hidden=[8]", "divergence.width=8"),
    "vqvae": ("dataset=digits", "model=vqvae", "second_stage.epochs=1", "network.channels=[4]"),
    "exact": ("experiment=linear_gaussian", "dataset.train_size=100", "dataset.val_size=20", "dataset.test_size=20"),
    "gaps": (
        *MLP, "evaluate=gaps", "evaluate.gaps.images=2", "evaluate.gaps.temperatures=3", "evaluate.gaps.refine_steps=2",
        "evaluate.gaps.iw_samples=5", "evaluate.gaps.elbo_samples=5",
    ),
    "factors": (
        "dataset=shapes", "dataset.train_size=80", "dataset.val_size=10", "dataset.test_size=600",
        "likelihood=bernoulli", "network.hidden=[8]",
    ),
}  # fmt: skip
FAMILIES = ("mig", "gaps/approximation", "exact/posterior_gap", "code_usage", "sample_mmd", "rate_z1", "mc_samples")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    found = {}
    for number, (name, overrides) in enumerate(RUNS.items()):
        folder = tmp_path_factory.mktemp("runs") / str(number)
        train(composed(*SMALL, *overrides), folder)
        found[name] = json.loads((folder / "results.json").read_text())
    return found


def test_every_key_of_a_run_has_an_entry(results: dict[str, dict[str, object]]) -> None:
    unknown = {(name, key) for name, one in results.items() for key in one if keys.find(key) is None}
    assert not unknown
    together = {key for one in results.values() for key in one}
    assert all(any(key.endswith(family) for key in together) for family in FAMILIES)


def test_every_number_of_a_metric_has_an_entry() -> None:
    listed = {number for section in keys.SECTIONS for number in section.numbers}
    assert listed.issuperset(number for metric in METRICS for number in metric.numbers)


def test_tables_and_reports_need_no_torch() -> None:
    names = "vae_cli.evaluation.keys, vae_cli.sweeps.table, vae_cli.report.write"
    code = f"import {names}, sys; assert not {{'torch', 'pytorch_lightning', 'scipy.stats'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_unique_within_a_prefix() -> None:
    for section in keys.SECTIONS:
        names = [number.name for number in section.numbers]
        assert len(names) == len(set(names))


def test_every_entry_says_what_it_is() -> None:
    for number in (number for metric in METRICS for number in metric.numbers):
        assert number.help.endswith("."), number.name


def test_the_page_is_that_of_now() -> None:
    text = Path(keys.PAGE).read_text(encoding="utf-8")
    assert keys.page(text) == text, "python -m vae_cli.evaluation.keys writes it"
    assert "`test/iw_samples`" in text
