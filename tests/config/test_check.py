from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le
from omegaconf import OmegaConf

from tests.support.configs import unchecked
from vae_cli.config.annotations import describe
from vae_cli.config.check import check
from vae_cli.config.job_names import job_name
from vae_cli.config.parse import allowed
from vae_cli.config.sources import Sources
from vae_cli.errors import ConfigError
from vae_cli.runs import layout
from vae_cli.runs.layout import conf_folder
from vae_cli.types import NonNegativeFloat, OpenFraction, PositiveInt

NEEDED = dict.fromkeys(("array", "table", "image_folder", "huggingface"), "dataset.path=x")
NEEDED["torchvision"] = "dataset.name=CelebA"
NEEDED["torch"] = "dataset.train._target_=torch.nn.Identity"
DATASETS = [file.stem for file in sorted((conf_folder() / "dataset").glob("*.yaml"))]


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        check(unchecked(*overrides))
    return str(error.value)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_brings_a_likelihood_that_fits(dataset: str) -> None:
    check(unchecked(f"dataset={dataset}", *([NEEDED[dataset]] if dataset in NEEDED else [])))


@pytest.mark.parametrize(
    "group", [g for g in Sources.find().groups() if g not in ("dataset", "network", "likelihood", "posterior", "prior")]
)
def test_every_option_of_every_group_composes(group: str) -> None:
    groups = {"initialisation": ["prior=mixture"], "divergence": ["objective=infovae"]}
    needs = {
        "image_discriminator": ["model=gan"],
        "image_discriminator_hinge": ["model=gan"],
        "gan": ["posterior=none"],
    }
    groups |= {"codebook": ["model=vqvae"], "second_stage": ["model=vqvae"]}
    needs |= {"reconstruction": ["model=ae"], "vade_analytic": ["prior=mixture"], "vade": ["prior=mixture"]}
    needs["vq"] = ["model=vqvae"]
    for option in Sources.find().options(group):
        choices = [] if option == "none" else needs.get(option, groups.get(group, []))
        check(unchecked(*choices, f"{group}={option}"))


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["likelihood=categorical"], ["Categorical", "levels", "binary", "likelihood=bernoulli", "binarize=none"]),
        (["likelihood=bernoulli", "dataset=cifar10"], ["binarize=none", "likelihood=", "gaussian"]),
        (["dataset.binarize=none"], ["Bernoulli", "levels", "discretised_logistic", "dataset.binarize=dynamic"]),
        (["model=conv_vae", "dataset=linear_gaussian"], ["Conv", "vector", "network=", "mlp", "dataset=", "mnist"]),
        (["posterior=deterministic"], ["q(z|x)", "posterior=", "diagonal", "objective=", "reconstruction"]),
        (["prior=ex_post"], ["during training", "prior=", "normal"]),
        (["dataset=array", "dataset.path=x", "dataset.domain=real", "likelihood=bernoulli"], ["real", "likelihood="]),
    ],
)
def test_impossible_combinations_name_both_sides_and_the_ways_out(overrides: list[str], parts: list[str]) -> None:
    message = refusal(*overrides)
    assert "; use " in message
    for part in parts:
        assert part in message, message


def test_the_ways_out_of_a_refused_combination_work() -> None:
    for way in ("likelihood=bernoulli", "dataset.binarize=none"):
        check(unchecked("likelihood=categorical", way))
    for ways in (["prior=normal"], ["posterior=deterministic", "objective=reconstruction"]):
        check(unchecked("prior=ex_post", *ways))


@pytest.mark.parametrize(
    "override",
    [
        "objective.beta=2",  # an integer where a number is asked for
        "optimizer.lr=1e-3",
        "network.hidden=[64]",
        "trainer.precision=bf16-mixed",
        "trainer.devices=[0]",
        "trainer.gradient_clip_val=1",
        "tags=[a,b]",
        "figures=[png,pdf]",
        "optimizer.amsgrad=true",  # a key that our YAML leaves to torch's default
        "+optimizer.amsgrad=true",
        "++objective.beta=3",
        "seed=${model.latent_dim}",
        "optimizer.betas=[0.5,0.9]",
    ],
)
def test_legal_values_pass(override: str) -> None:
    check(unchecked(override))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("objective.beta=true", "objective.beta=true"),
        ("objective.beta=nan", "objective.beta=NaN"),
        ("objective.beta='1'", 'objective.beta="1"'),
        ("model.latent_dim=2.0", "model.latent_dim=2.0"),
        ("model.latent_dim=null", "model.latent_dim=null"),
        ("trainer.deterministic=1", "trainer.deterministic=1"),
        ("network.hidden=[64,0]", "network.hidden=[64, 0]"),
        ("network.dropout=2", "network.dropout=2"),
        ("trainer.max_epochs={a:1}", 'trainer.max_epochs={"a": 1}'),
        ("trainer=null", "trainer=null"),
        ("objective.beta={_target_:vae_cli.objectives.ELBO}", "objective.beta._target_=vae_cli.objectives.ELBO"),
        ("objective.beta={_target_:os.system}", "objective.beta._target_=os.system"),
        ("tags=[{_target_:os.system}]", "tags._target_=os.system"),
        ("figures=[jpg]", 'figures=["jpg"]'),
        ("figures=png", "figures=png"),
    ],
)
def test_illegal_values_are_named(override: str, key: str) -> None:
    assert refusal(override).startswith(f"{key}: ")


def test_a_users_own_classes_need_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_objectives.py").write_text(
        "from vae_cli.objectives import Objective\nclass Mine(Objective):\n    def __init__(self, *, power: int): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = unchecked()
    OmegaConf.set_struct(config, False)
    config.objective = {"_target_": "my_objectives.Mine", "power": 2}
    with pytest.raises(ConfigError, match="VAE_PLUGINS"):
        check(config)
    monkeypatch.setenv("VAE_PLUGINS", "my_objectives")
    assert "my_objectives." in allowed()
    check(config)
    config.posterior = {"_target_": "vae_cli.models.posteriors.Deterministic"}
    with pytest.raises(ConfigError, match="Mine"):  # `requires` is inherited from vae_cli.objectives.Objective
        check(config)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (PositiveInt, "an integer > 0"),
        (NonNegativeFloat | None, "a number >= 0 or null"),
        (OpenFraction, "a number > 0 and < 1"),
        (Annotated[float, Ge(0), Le(1)], "a number >= 0 and <= 1"),
        (Literal["a", 1] | bool, "one of a, 1 or true or false"),
        (list[str], "a list [text]"),
        (tuple[int, ...], "a list [an integer, ...]"),
    ],
)
def test_types_in_words(annotation: object, words: str) -> None:
    assert describe(annotation) == words


@pytest.mark.parametrize(
    "overrides",
    ["", "a=1", "a=/x/y", "a='../..'", "-a", ".a", "a=" + "x" * 500, "dataset.path=ä b,c", "a=[1,2],b={c:d}", "a=\n"],
)
def test_job_names_are_valid_for_any_overrides(overrides: str, tmp_path: Path) -> None:
    name = job_name(overrides)
    (tmp_path / name).mkdir()
    assert len(name) <= 100
    assert not name.startswith((".", "-"))
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,-")
    assert name == job_name(overrides) != job_name(f"{overrides} ")


def test_outputs_go_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert layout.outputs_folder() == tmp_path / "outputs"
    monkeypatch.setenv("VAE_OUTPUT_DIR", str(tmp_path / "elsewhere"))
    assert Path(unchecked().hydra.run.dir).is_relative_to(tmp_path / "elsewhere" / "train")
