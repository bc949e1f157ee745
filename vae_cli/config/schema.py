"""The schema of a configuration where the signature of a class does not give it. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from hydra.utils import instantiate

from vae_cli.types import (
    Epochs,
    NonEmpty,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Samples,
    Seed,
    SeveralInt,
)


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

    def build(self, *parts: Any, **options: Any) -> Any:
        """The object; `parts` are its positional arguments."""
        return instantiate(self.plain(), *parts, **options)


def plain(config: Any) -> dict[str, Any]:
    """The nested mapping that a dataclass of this module was parsed from."""
    if isinstance(config, Node):
        return config.plain()
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: plain(value) if is_dataclass(value) else value for name, value in values.items()}


@dataclass(frozen=True)
class TrainerConfig:
    """How to train: hardware, precision, length."""

    accelerator: Literal["auto", "cpu", "gpu"]
    devices: PositiveInt | NonEmpty[NonNegativeInt]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    max_epochs: Epochs
    gradient_clip_val: NonNegativeFloat | None
    accumulate_grad_batches: PositiveInt
    patience: PositiveInt | None
    deterministic: bool
    compile: bool
    limit_batches: PositiveInt | None
    shuffle: bool
    figures_every: PositiveInt | None
    threads: PositiveInt | None
    checkpoint_every: PositiveFloat | None
    num_nodes: PositiveInt


@dataclass(frozen=True)
class EvalTrainerConfig:
    """Where vae-eval runs, and on how much."""

    accelerator: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    limit_batches: PositiveInt | None
    threads: PositiveInt | None


@dataclass(frozen=True)
class GapsConfig:
    """How to measure inference gaps."""

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
    """What to measure after training: k of the importance-weighted log-likelihood is `samples`."""

    samples: Samples
    elbo_samples: Samples
    estimator: Literal["posterior", "prior"]
    batch_size: PositiveInt
    memory_mb: PositiveInt | None
    split: Literal["train", "val", "test"]
    active_threshold: PositiveFloat
    seed: Seed
    gaps: GapsConfig | None


@dataclass(frozen=True)
class LoggerConfig:
    """Where metrics go beside metrics.csv."""

    name: Literal["csv", "tensorboard", "none"]


@dataclass(frozen=True)
class WandbConfig:
    """Weights & Biases; mode auto is online only where a key is configured."""

    name: Literal["wandb"]
    project: str
    entity: str | None
    group: str | None
    tags: list[str]
    mode: Literal["auto", "online", "offline", "disabled"]


@dataclass(frozen=True)
class ClusterConfig:
    """What a job of a sweep asks of SLURM, and whether the command waits for the jobs."""

    time: PositiveInt
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


@dataclass(frozen=True)
class TrainConfig:
    """The root of vae-train."""

    seed: Seed
    resume: str | None
    ckpt: Literal["last"] | None
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
    logger: LoggerConfig | WandbConfig
    evaluate: EvaluateConfig
    annealing: Node | None
    cluster: ClusterConfig
    codebook: Node | None
    second_stage: Node | None
    refinement: Node | None
    init: str | None
    init_parts: list[str] | None


@dataclass(frozen=True)
class PlaceConfig:
    """Where a run's data are now, if they have moved."""

    path: str | None
    root: str | None


@dataclass(frozen=True)
class EvalConfig:
    """The root of vae-eval."""

    run: str
    ckpt: str
    dataset: PlaceConfig
    evaluate: EvaluateConfig
    trainer: EvalTrainerConfig


@dataclass(frozen=True)
class SampleConfig:
    """The root of vae-sample."""

    run: str
    ckpt: str
    n: PositiveInt
    component: NonNegativeInt | None
    seed: Seed


@dataclass(frozen=True)
class CAVIConfig:
    """The root of vae-cavi."""

    study: Node
    sweeps: PositiveInt
    tolerance: NonNegativeFloat
    out: str


@dataclass(frozen=True)
class KLConfig:
    """The root of vae-kl."""

    target: Node
    direction: Node
    starts: PositiveInt
    out: str
