"""The schema of a configuration where the signature of a class does not give it. Free of torch."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from hydra.utils import get_class, instantiate

from vae_cli.types import (
    Epochs,
    NonEmpty,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    RunName,
    Samples,
    Seed,
    SeveralInt,
)


@dataclass(frozen=True)
class Setting:
    """The role of a key; a key without a setting of its own has that of the mapping around it.

    Args:
        changes_results: another value makes another run, so that a sweep runs the job anew
        on_resume: a resumed run may have another value
        distinguishes: a report groups runs with other values apart
        names_job: an override of the key is part of the name of a job's folder
        selects_data: of a data set: another value changes x or its examples, so that log p(x) cannot be compared
    """

    changes_results: bool = True
    on_resume: bool = False
    distinguishes: bool = True
    names_job: bool = True
    selects_data: bool = True


MACHINE = Setting(on_resume=True, distinguishes=False)
WATCHED = Setting(changes_results=False, on_resume=True, distinguishes=False)
"""Keys of figures, loggers, checkpoints, and of steps whose numbers are equal up to rounding."""
IDENTITY = Setting(changes_results=False, on_resume=True, distinguishes=False, names_job=False)
START = Setting(changes_results=False, distinguishes=False)


@dataclass(frozen=True)
class Node:
    """A class that `_target_` names, and its arguments; the signature of the class is their schema."""

    target: str
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.target.rpartition(".")[2]

    def plain(self) -> dict[str, Any]:
        """The mapping that the configuration has."""
        return {"_target_": self.target, **self.arguments}

    def build(self, *parts: Any) -> Any:
        """The object; `parts` are its positional arguments."""
        return self.constructor(*parts)

    @property
    def constructor(self) -> Callable[..., Any]:
        """A function from positional arguments to the object."""
        if any(name.startswith("_") or _has_mapping(value) for name, value in self.arguments.items()):
            return partial(instantiate, {"_convert_": "all"} | self.plain())  # which builds the classes in arguments
        return partial(get_class(self.target), **deepcopy(self.arguments))  # in a twentieth of the time


def _has_mapping(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_mapping, value)))


def plain(config: Any) -> dict[str, Any]:
    """The nested mapping that a dataclass of this module was parsed from."""
    if isinstance(config, Node):
        return config.plain()
    values = config if isinstance(config, dict) else {one.name: getattr(config, one.name) for one in fields(config)}
    nested = {name for name, value in values.items() if is_dataclass(value) or isinstance(value, dict)}
    return {name: plain(value) if name in nested else value for name, value in values.items()}


@dataclass(frozen=True)
class TrainerConfig:
    """Hardware, precision and length of training."""

    accelerator: Annotated[Literal["auto", "cpu", "gpu"], MACHINE]
    devices: Annotated[PositiveInt | NonEmpty[NonNegativeInt], MACHINE]
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "fastest"]
    max_epochs: Annotated[Epochs, Setting(on_resume=True)]
    gradient_clip_val: NonNegativeFloat | None
    accumulate_grad_batches: PositiveInt
    patience: Annotated[PositiveInt | None, Setting(on_resume=True)]
    deterministic: bool
    compile: bool | None
    capture: Annotated[bool, WATCHED]
    limit_batches: PositiveInt | None
    shuffle: bool
    threads: Annotated[PositiveInt | None, MACHINE]
    checkpoint_every: Annotated[PositiveFloat | None, WATCHED]
    num_nodes: Annotated[PositiveInt, MACHINE]


@dataclass(frozen=True)
class GapsConfig:
    """Settings of the inference gaps."""

    images: PositiveInt
    chains: PositiveInt
    temperatures: SeveralInt
    leapfrogs: PositiveInt
    refine_steps: PositiveInt
    refine_samples: PositiveInt
    refine_lr: PositiveFloat
    elbo_samples: PositiveInt
    iw_samples: PositiveInt


@dataclass(frozen=True)
class EvaluateConfig:
    """The evaluation after training: k of the importance-weighted log-likelihood is `samples`."""

    samples: Samples
    elbo_samples: Samples
    estimator: Literal["posterior", "prior"]
    batch_size: PositiveInt
    memory_mb: Annotated[PositiveInt | None, MACHINE]
    split: Literal["train", "val", "test"]
    active_threshold: PositiveFloat
    seed: Seed
    gaps: GapsConfig | None
    metrics: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases; mode auto is online only where a key is configured."""

    project: str
    entity: str | None
    group: str | None
    mode: Literal["auto", "online", "offline", "disabled"]


@dataclass(frozen=True)
class MLflowConfig:
    """MLflow; without a uri MLFLOW_TRACKING_URI, or files in the folder of outputs."""

    uri: str | None
    experiment: str


@dataclass(frozen=True)
class LoggerConfig:
    """The loggers of a run; any of them adds metrics.csv."""

    every: PositiveInt
    images: NonNegativeInt
    csv: bool
    tensorboard: bool
    wandb: WandbConfig | None
    mlflow: MLflowConfig | None = None
    artifacts: bool = False

    @property
    def is_none(self) -> bool:
        """True if no logger is chosen."""
        return not (self.csv or self.tensorboard or self.wandb or self.mlflow)


@dataclass(frozen=True)
class ClusterConfig:
    """Resources of a job under SLURM; `wait`: the command ends after its jobs; `pack`: jobs of a sweep in one."""

    time: PositiveInt
    notice: PositiveInt
    requeue: NonNegativeInt
    memory: PositiveFloat
    cpus: PositiveInt
    gpus: NonNegativeInt | None
    partition: str | None
    account: str | None
    parallel: PositiveInt
    wait: bool
    setup: list[str]
    options: list[str]
    pack: PositiveInt | Literal["auto"] = 1


@dataclass(frozen=True)
class TrainConfig:
    """The root of vae-train."""

    seed: Annotated[Seed, Setting(distinguishes=False)]
    resume: Annotated[str | None, START]
    ckpt: Annotated[Literal["last"] | None, START]
    dataset: Node
    model: Node
    network: Node
    posterior: Node
    prior: Node
    likelihood: Node
    divergence: Node | None
    objective: Node
    pretraining: Node | None
    initialisation: Node | None
    optimizer: Node
    scheduler: Node
    trainer: TrainerConfig
    logger: Annotated[LoggerConfig, WATCHED]
    evaluate: Annotated[EvaluateConfig, Setting(on_resume=True)]
    annealing: Node | None
    cluster: Annotated[ClusterConfig, replace(WATCHED, names_job=False)]
    codebook: Node | None
    second_stage: Node | None
    refinement: Node | None
    figures: Annotated[list[Literal["png", "pdf", "svg"]], WATCHED]
    init: str | None
    init_parts: list[str] | None
    name: Annotated[RunName | None, IDENTITY]
    tags: Annotated[list[str], IDENTITY]
    callbacks: Annotated[dict[str, Node], Setting(on_resume=True)] = field(default_factory=dict)
    reproduce: Annotated[str | None, START] = None
