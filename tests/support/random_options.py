"""Whole configurations, drawn: an option of each group, and values of its keys by their types and ranges."""

import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import exp, log
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from omegaconf import DictConfig, OmegaConf

from tests.support.random_data import Kind, drawn_keys
from vae_cli.config import signatures
from vae_cli.config.compose import Composer
from vae_cli.config.data_file import choice
from vae_cli.config.schema import EvaluateConfig, GapsConfig, LoggerConfig, TrainerConfig
from vae_cli.config.sources import Sources
from vae_cli.config.view import stating

Draw = Callable[[Random], Any]

GROUPS = (
    "model", "network", "codebook", "refinement", "posterior", "prior", "likelihood", "divergence", "objective",
    "annealing", "pretraining", "initialisation", "second_stage", "optimizer", "scheduler",
    "evaluate", "trainer", "experiment", "debug", "logger",
)  # fmt: skip
SCHEMAS = {"trainer": TrainerConfig, "evaluate": EvaluateConfig, "evaluate.gaps": GapsConfig, "logger": LoggerConfig}
"""The schemas of the groups that name no class."""
NULLABLE = ("codebook", "refinement", "divergence", "annealing", "pretraining", "initialisation", "second_stage")
RARE = {
    ("initialisation", "umap_gmm"): 0.1, ("trainer", "fast"): 0.1,
    ("logger", "wandb"): 0.05, ("logger", "tensorboard"): 0.1, ("logger", "mlflow"): 0.1,
}  # fmt: skip
"""How often an option that is slow to import, or slow, is kept when it is drawn."""
FIXED = (
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.threads",
    "logger.csv", "logger.tensorboard", "logger.wandb", "logger.mlflow",
)  # fmt: skip


def _log_uniform(low: float, high: float) -> Draw:
    return lambda random: float(f"{exp(random.uniform(log(low), log(high))):.3g}")


def _one_of(*values: Any) -> Draw:
    return lambda random: random.choice(values)


SPECIAL: dict[str, Draw] = {
    "optimizer.lr": _log_uniform(1e-5, 3e-3),
    "optimizer.betas": lambda random: [round(random.uniform(0, 0.95), 2), round(random.uniform(0.9, 0.999), 3)],
    "optimizer.eps": _one_of(1e-8, 1e-6),
    "optimizer.weight_decay": _one_of(0.0, 1e-4, 1e-2),
    "optimizer.momentum": _one_of(0.0, 0.5, 0.9, 0.9),
    "posterior.lr": _log_uniform(1e-3, 1e-1),
    "refinement.lr": _log_uniform(1e-3, 1e-1),
    "objective.alpha": _one_of(0.0, 0.5, 1.0, 1.0, 1.5, -1.0),
    "objective.lambda_": _one_of(0.0, 1.0, 2.0, 10.0),
    "objective.free_bits": _one_of(0.0, 0.0, 0.1, 0.1, [0.1], [0.0, 0.2]),
    "annealing.weights": _one_of(None, None, ["beta"], ["gamma"], ["lambda_"]),
    "model.latent_dim": lambda random: random.randint(1, 6),
    "model.below": _one_of(*[[2], [3]] * 5, [3, 2]),
    "model.generation": _one_of(None, None, {"x": ["z1"], "z1": ["z2"]}, {"x": ["z1", "z2"], "z1": ["z2"]}),
    "posterior.parents": _one_of({"z1": ["x"], "z2": ["x", "z1"]}, {"z1": ["x", "z2"], "z2": ["x"]}),
    "initialisation.points": _one_of(100000, 100000, 20),
    "initialisation.neighbours": lambda random: random.randint(2, 15),
    "codebook.codes": lambda random: random.randint(1, 12),
    "trainer.max_epochs": _one_of(1, 1, 2),
    "trainer.limit_batches": lambda random: random.randint(1, 4),
    "trainer.precision": _one_of(*["32-true"] * 8, "bf16-mixed", "bf16-mixed", "16-mixed"),
    "trainer.compile": lambda random: random.random() < 0.003,
    "trainer.gradient_clip_val": _one_of(None, None, None, 0.0, 0.1, 10.0),
    "trainer.accumulate_grad_batches": _one_of(1, 1, 1, 2, 3, 10),
    "trainer.patience": _one_of(None, None, None, 1, 2),
    "trainer.checkpoint_every": _one_of(10, 10, None, 1e-6),
    "evaluate.samples": _one_of(1, 2, 3, 5, 20),
    "evaluate.batch_size": _one_of(1, 7, 64, 1000, 1000),
    "evaluate.memory_mb": _one_of(None, None, 1),
    "logger.every": _one_of(1, 3, 50),
    "logger.images": _one_of(0, 1, 10),
    "evaluate.metrics": _one_of({}),
    "evaluate.seed": lambda random: random.randrange(9),
    "figures": _one_of([], ["png"], ["svg"]),
    "name": _one_of(None, "first", "run-2.b"),
    "tags": _one_of([], ["one"], ["one", "two words"]),
}
WIDTHS = ("hidden", "width", "channels", "dense", "context", "projections")
DROPPED = "~"
"""The value of a key that the command line removes, as ~network.hidden does."""
WRONG = 0.005
"""The share of values of a type or a size that the key may not have."""
SMALL_INTEGERS = ("trainer.max_epochs", "trainer.limit_batches", "evaluate.samples")


@dataclass(frozen=True)
class Combination:
    """Options of groups, values of keys, and the number from which values that it still lacks are drawn.

    data: the data are named by data=FILE, which chooses data set, domain and likelihood
    """

    groups: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: bool = False

    def config(self, composer: Composer) -> DictConfig:
        """The whole configuration."""
        config = compose(self.groups, composer)
        for key, value in self.settings.items():
            if value == DROPPED:
                group, _, name = key.partition(".")
                config[group].pop(name, None)
            else:
                OmegaConf.update(config, key, value, merge=False, force_add=True)
        return config

    @property
    def settings(self) -> dict[str, object]:
        """All values, those of every combination included: what is checked is what runs."""
        return {"trainer.accelerator": "cpu"} | self.values

    def line(self) -> list[str]:
        """The arguments of vae-train."""
        line = [f"{k}={v}" for k, v in self.groups.items()]
        line += [f"~{k}" if v == DROPPED else f"{k}={text(v)}" for k, v in self.settings.items()]
        if not self.data:
            return line
        file = self.values["dataset.path"]
        chosen = [f"dataset.path={file}", *choice(Path(file))]
        return [f"data={file}", *(word for word in line if word not in chosen)]

    def with_groups(self, chosen: dict[str, str], composer: Composer) -> "Combination":
        """Other options of some groups: keys of the old ones go, but those of all data; new ones are made small."""
        gone = tuple(f"{group}." for group in chosen if group != "dataset")
        kept = {key: v for key, v in self.values.items() if not key.startswith(gone)}
        data = self.data and "dataset" not in chosen
        return completed(replace(self, groups=self.groups | chosen, values=kept, data=data), composer, often=0)


def draw(seed: int, number: int, kinds: dict[str, Kind], composer: Composer) -> Combination:
    """Combination `number` of a seed."""
    random = Random(f"{seed}/{number}")
    kind = kinds[random.choice(sorted(kinds))]
    often = random.choice([0.05, 0.1, 0.2, 0.4])
    groups = {"dataset": kind.dataset}
    for group in GROUPS:
        option = random.choice(composer.sources.options(group))
        wanted = random.random() < (0.5 if group == "model" else 1.0 if group == "logger" else often)
        if wanted and random.random() < RARE.get((group, option), 1.0):
            groups[group] = option
    groups["logger"] = "[csv,tensorboard]" if random.random() < 0.02 else groups.get("logger", "none")
    values = drawn_keys(random, kind)
    config = compose({group: groups[group] for group in ("dataset", "model") if group in groups}, composer)
    umap = "Umap" in str(OmegaConf.select(config, "initialisation._target_"))
    if umap and "initialisation" not in groups and random.random() > RARE["initialisation", "umap_gmm"]:
        groups["initialisation"] = "gmm"
    if "likelihood" not in groups or random.random() < 0.7:
        groups["likelihood"] = random.choice(_fitting_likelihoods(config, values))
    data = "dataset.path" in values and random.random() < 0.3
    for chosen in choice(Path(values["dataset.path"])) if data else []:
        key, _, value = chosen.partition("=")
        (values if "." in key else groups)[key] = value
    drawn = Combination(groups, values, random.randrange(10**6), data)
    return completed(drawn, composer, random.choice([0.1, 0.3, 0.6]))


def completed(combination: Combination, composer: Composer, often: float) -> Combination:
    """The combination with values for keys that it lacks, without those of keys that its options do not have.

    Integers are all drawn, for their defaults take long; of the others as many as `often` says.
    """
    random = Random(combination.seed)
    config = compose(combination.groups, composer)
    values = dict(combination.values)
    leaves = dict(_leaves(config))
    for key, annotation in leaves.items():
        if key in values or key.startswith("dataset.") or key in FIXED:
            continue
        needed = _has_integers(annotation) or key in SMALL_INTEGERS
        if random.random() < WRONG:
            values[key] = random.choice([-1, 0, "some", [], True])
        elif random.random() < often or needed:
            values[key] = _value(random, key, annotation, OmegaConf.select(config, key))
    return replace(combination, values={key: v for key, v in values.items() if key in leaves or v == DROPPED})


def compose(groups: dict[str, str], composer: Composer) -> DictConfig:
    """The configuration of these options."""
    return _composed(tuple(f"{group}={option}" for group, option in groups.items()), composer).copy()


@lru_cache(300)
def _composed(line: tuple[str, ...], composer: Composer) -> DictConfig:
    config = composer.compose(list(line))
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return config


def text(value: Any) -> str:
    """A value as hydra reads it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    plain = str(value)
    return f"'{plain}'" if " " in plain else plain


def _fitting_likelihoods(config: DictConfig, values: dict[str, Any]) -> list[str]:
    """Options of likelihood that score what the data set gives."""
    binarize = values.get("dataset.binarize", config.dataset.get("binarize", "none"))
    stored = values.get("dataset.domain", config.dataset.get("domain"))
    stored = stored or signatures.read(config.dataset._target_).constants.get("domain")
    domain = stored if binarize == "none" or "binarize" not in config.dataset else "binary"
    return stating("likelihood", "support", lambda support: domain in support)[11:].split("|")


def _leaves(config: DictConfig) -> list[tuple[str, Any]]:
    """Keys of a configuration and the annotations of their values."""
    found: list[tuple[str, Any]] = [("figures", list[str]), ("name", str), ("tags", list[str]), ("seed", int)]
    for group in ("dataset", *GROUPS[:-5], *SCHEMAS):
        node = OmegaConf.select(config, group)
        if node is None or (group not in SCHEMAS and "_target_" not in node):
            continue
        if group in SCHEMAS:
            annotations = get_type_hints(SCHEMAS[group], include_extras=True)
        else:
            parameters = signatures.read(node._target_).parameters
            annotations = {name: parameter.annotation for name, parameter in parameters.items()}
        found += [(f"{group}.{name}", annotations[name]) for name in node if name in annotations and name != "gaps"]
    return found


def _has_integers(annotation: Any) -> bool:
    """True for integers and lists of them, whose defaults take long."""
    if get_origin(annotation) is Annotated:
        return _has_integers(get_args(annotation)[0])
    return annotation is int or any(map(_has_integers, get_args(annotation)))


def _value(random: Random, key: str, annotation: Any, default: Any) -> Any:
    """A value of a key by its annotation."""
    if key in SPECIAL:
        return SPECIAL[key](random)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _value(random, key, random.choice(arguments), default)
    if annotation is type(None):
        return None
    if origin is Literal:
        return random.choice(arguments)
    if origin in (list, tuple):
        return [_value(random, key, arguments[0], None) for _ in range(random.choice([0, *[1] * 9, *[2] * 9]))]
    if annotation is bool:
        return random.random() < 0.5
    if annotation is int or (origin is Annotated and arguments[0] is int):
        bounds = [bound for bound in arguments if isinstance(bound, Ge | Gt)]
        low = max([b.ge if isinstance(b, Ge) else b.gt + 1 for b in bounds], default=0)
        return random.randint(low, low + (9 if key.endswith(WIDTHS) else 1 if key.endswith("epochs") else 3))
    if annotation is float or (origin is Annotated and arguments[0] is float):
        return _number(random, arguments[1:], default)
    return default if not OmegaConf.is_config(default) else OmegaConf.to_container(default)


def _number(random: Random, bounds: tuple[Any, ...], default: Any) -> float:
    """A number in its range: at an end that is allowed, or anywhere between, or within ten times the default."""
    ends: list[float] = [b.ge if isinstance(b, Ge) else b.le for b in bounds if isinstance(b, Ge | Le)]
    if ends and random.random() < 0.15:
        return float(random.choice(ends))
    if any(isinstance(bound, Le | Lt) for bound in bounds):
        return round(random.uniform(0.02, 0.98), 3)
    return _log_uniform(0.1, 10)(random) * (default or 1.0)


def composer() -> Composer:
    """The composer of vae-train."""
    return Composer("train", Sources.find())
