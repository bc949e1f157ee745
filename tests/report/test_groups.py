import os
from pathlib import Path
from statistics import mean, stdev

import pytest
import scipy.stats

from tests.support.report_folders import write_run, write_sweep
from tests.support.report_markup import made
from vae_cli.report.estimate import Estimate
from vae_cli.report.groups import best, changed, group, shared
from vae_cli.report.metrics import present
from vae_cli.report.runs import find

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_the_interval_is_students(count: int) -> None:
    values = [(7 * k) % 11 - 95.3 for k in range(count)]
    estimate = Estimate.of(values)
    assert (estimate.mean, estimate.count) == (pytest.approx(mean(values)), count)
    low, high = scipy.stats.t.interval(0.95, count - 1, loc=mean(values), scale=scipy.stats.sem(values))
    assert estimate.half_width == pytest.approx((high - low) / 2)
    assert estimate.half_width == pytest.approx(scipy.stats.t.ppf(0.975, count - 1) * stdev(values) / count**0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([-95.1234], "-95.12"),
        ([0.95678], "0.957"),
        ([10], "10"),
        ([10, 10], "10 ± 0"),
        ([-95.0, -95.2], "-95.1 ± 1.3"),
        ([100.0, 130.0], "115 ± 191"),
        ([0.9573, 0.9574, 0.9572], "0.95730 ± 0.00025"),
        ([1 / 3, 1 / 3], "0.333 ± 0"),
    ],
)
def test_estimates_in_words(values: list[float], words: str) -> None:
    assert str(Estimate.of(values)) == words


def test_runs_are_grouped_by_all_but_seed_and_machine() -> None:
    write_sweep(Path("all"), [4, 0.5, 1], [0, 1, 2])
    write_run(Path("all/gpu"), {"seed": 3, "objective.beta": 1, "trainer.accelerator": "gpu", "dataset.root": "/data"})
    groups = group(find([Path("all")]))
    assert [one.name for one in groups] == ["beta=0.5", "beta=1", "beta=4"]
    assert [one.number for one in groups] == [1, 2, 3]
    assert [len(one.finished) for one in groups] == [3, 4, 3]
    assert shared(groups)["model.latent_dim"] == 32
    assert not {"seed", "objective.beta", "dataset.root"} & shared(groups).keys()


def test_one_configuration_has_no_choices() -> None:
    write_sweep(Path("all"), [1], [0, 1])
    (one,) = group(find([Path("all")]))
    assert (one.name, one.states) == ("all runs", "n = 2")
    assert one.estimate("test/elbo") == Estimate.of([-110.0, -111.0])
    assert one.estimate("test/nothing") is None


def test_only_finished_runs_enter_means() -> None:
    write_sweep(Path("all"), [1], [0, 1])
    write_run(Path("all/c"), {"seed": 2}, results={"status": "failed", "error": "x", "test/elbo": -1e9})
    write_run(Path("all/d"), {"seed": 3}, done=False)
    (one,) = group(find([Path("all")]))
    assert one.states == "n = 2, 1 failed, 1 unfinished"
    assert one.estimate("test/elbo") == Estimate.of([-110.0, -111.0])


def test_a_repeated_seed_counts_once_by_its_newest_run() -> None:
    for age, (name, elbo) in enumerate([("new", -90.0), ("old", -80.0)]):
        folder = write_run(Path("all") / name, results={"test/elbo": elbo})
        os.utime(folder / "results.json", (1e9 - age, 1e9 - age))
    (one,) = group(find([Path("all")]))
    assert one.states == "n = 1, 1 repeated"
    assert one.estimate("test/elbo") == Estimate(-90.0, None, 1, 0.2)


def test_a_class_brings_its_own_settings_without_naming_them() -> None:
    mixture = {
        "prior._target_": "vae_cli.models.priors.GaussianMixturePrior",
        "prior.components": 10,
        "prior.spread": 1.0,
    }
    pretrained = {"pretraining._target_": "vae_cli.training.pretraining.Autoencoder", "pretraining.epochs": 20}
    write_run(Path("all/a"))
    write_run(Path("all/b"), mixture | pretrained)
    assert [one.name for one in group(find([Path("all")]))] == [
        "pretraining=Autoencoder, prior=GaussianMixturePrior",
        "prior=Normal",
    ]
    write_run(Path("all/c"), mixture | pretrained | {"prior.components": 20})
    assert group(find([Path("all")]))[0].name == "pretraining=Autoencoder, prior=GaussianMixturePrior, components=10"


def test_keys_of_one_last_name_are_told_apart() -> None:
    write_run(Path("all/a"))
    write_run(Path("all/b"), {"evaluate.seed": 1, "dataset.seed": 1})
    write_run(Path("all/c"), {"evaluate.seed": 2, "dataset.seed": 2})
    assert group(find([Path("all")]))[0].name == "dataset.seed=1, evaluate.seed=1"


def test_best_is_by_validation_and_not_by_test() -> None:
    write_run(Path("all/a"), {"objective.beta": 1}, validation=[-90], results={"test/elbo": -99.0})
    write_run(Path("all/b"), {"objective.beta": 2}, validation=[-95], results={"test/elbo": -50.0})
    assert best(group(find([Path("all")]))) == [True, False]


def test_each_data_set_has_its_best() -> None:
    write_sweep(Path("all/mnist"), [0.5, 1], [0])
    fashion = {"dataset._target_": "vae_cli.datasets.FashionMNIST"}
    write_sweep(Path("all/fashion"), [1, 2], [0], **fashion)
    groups = group(find([Path("all")]))
    assert [one.name for one, won in zip(groups, best(groups), strict=True) if won] == [
        "dataset=FashionMNIST, beta=1",
        "dataset=MNIST, beta=0.5",
    ]


def test_what_cannot_be_compared_has_no_best() -> None:
    """A distortion is no bound, a density no probability, a configuration alone not the best of several."""
    write_run(Path("all/vae"))
    write_run(Path("all/ae"), {"model.latent_dim": 2}, rows=[{"epoch": 1, "val/distortion": 40.0}])
    density = write_run(Path("all/density"), {"model.latent_dim": 3}, validation=[2000]) / "results.json"
    density.write_text(density.read_text().replace("bits_per_dim", "unknown"))
    write_run(Path("all/failed"), {"model.latent_dim": 4}, results={"status": "failed"})
    write_run(Path("all/blind"), {"model.latent_dim": 5}, rows=[{"epoch": 1}])
    assert best(group(find([Path("all")]))) == [False] * 5


def test_the_least_distortion_is_best_where_there_is_no_bound() -> None:
    for size, distortion in ((2, 80.0), (8, 40.0)):
        rows = [{"epoch": 1, "val/distortion": distortion}]
        write_run(Path(f"all/{size}"), {"model.latent_dim": size}, rows=rows)
    assert best(group(find([Path("all")]))) == [False, True]


def test_runs_whose_data_have_changed_are_of_two_configurations() -> None:
    for seed, digest in enumerate(("a" * 64, "a" * 64, "b" * 64)):
        write_run(Path(f"all/{seed}"), {"seed": seed}, results={"data/sha256": digest}, validation=[-90 - seed])
    write_run(Path("all/3"), {"seed": 3}, done=False)  # which has not told its data yet
    write_run(Path("all/4"), {"model.latent_dim": 8}, results={"data/sha256": "a" * 64}, validation=[-80])
    groups = group(find([Path("all")]))
    one, two = "a" * 12, "b" * 12
    assert [(g.name, g.states) for g in groups] == [
        (f"sha256={one}, latent_dim=8", "n = 1"),
        (f"sha256={one}, latent_dim=32", "n = 2, 1 unfinished"),
        (f"sha256={two}, latent_dim=32", "n = 1"),
    ]
    (sentence,) = changed(groups)
    assert sentence.startswith("Configurations 2, 3 have the same settings but different data")
    assert best(groups) == [True, False, False]  # of the two on data a
    text = made()
    assert sentence in text and text.count("sha256=") > 2


def test_nothing_is_said_where_no_data_have_changed() -> None:
    write_sweep(Path("all"), [0.5, 1], [0, 1])
    assert changed(group(find([Path("all")]))) == []


@pytest.mark.parametrize(
    "other",
    [
        {"dataset.test_seed": 1},
        {"dataset.val_size": 50},
        {"trainer.limit_batches": 2},
        {"likelihood._target_": "vae_cli.models.likelihoods.Gaussian"},
    ],
    ids=str,
)
def test_validation_of_other_rows_or_of_another_kind_is_not_compared(other: dict[str, object]) -> None:
    write_run(Path("all/a"), {"dataset.test_seed": 0})
    write_run(Path("all/b"), {"dataset.test_seed": 0} | other)
    assert best(group(find([Path("all")]))) == [False, False]


def test_equal_data_are_compared_wherever_they_lie() -> None:
    for name, elbo in (("a", -90), ("b", -95)):
        write_run(Path("all") / name, {"dataset.path": f"/{name}.npz"}, results={"data/sha256": "c"}, validation=[elbo])
    assert best(group(find([Path("all")]))) == [True, False]


@pytest.mark.parametrize("number", ["elbo", "distortion"])
def test_without_metrics_the_best_is_by_the_results(number: str) -> None:
    for size, value in ((2, 80.0), (8, 40.0)):
        folder = write_run(Path(f"all/{size}"), {"model.latent_dim": size}, results={f"val/{number}": value})
        (folder / "metrics.csv").unlink()
    groups = group(find([Path("all")]))
    assert best(groups) == [number == "elbo", number == "distortion"]
    assert present(groups)[0] == f"validation/{number}" and f"val/{number}" not in present(groups)


def test_an_evaluation_of_validation_data_does_not_choose() -> None:
    for size in (2, 8):
        results = {"val/elbo": -80.0 - size, "val/elbo_se": 1.0, "evaluate/split": "val"}
        (write_run(Path(f"all/{size}"), {"model.latent_dim": size}, results=results) / "metrics.csv").unlink()
    assert best(group(find([Path("all")]))) == [False, False]
