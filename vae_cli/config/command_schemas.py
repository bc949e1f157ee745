"""The schema of each command that does not train. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Le

from vae_cli.config.schema import EvaluateConfig, Node
from vae_cli.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Samples, Seed


@dataclass(frozen=True)
class EvalTrainerConfig:
    """Hardware and length of vae-eval."""

    accelerator: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    limit_batches: PositiveInt | None
    threads: PositiveInt | None


@dataclass(frozen=True)
class PlaceConfig:
    """The present place of moved data."""

    path: str | None
    root: str | None


@dataclass(frozen=True)
class RunCommandConfig:
    """The root of a command that loads a run from one of its checkpoints."""

    run: str
    ckpt: str


@dataclass(frozen=True)
class EvalConfig(RunCommandConfig):
    """The root of vae-eval."""

    dataset: PlaceConfig
    evaluate: EvaluateConfig
    trainer: EvalTrainerConfig


@dataclass(frozen=True)
class SampleConfig(RunCommandConfig):
    """The root of vae-sample."""

    n: PositiveInt
    component: NonNegativeInt | None
    temperature: PositiveFloat
    between: list[str] | None
    out: str | None
    seed: Seed


@dataclass(frozen=True)
class DeviceConfig:
    """Hardware of a command that neither trains nor evaluates."""

    accelerator: Literal["auto", "cpu", "gpu"]
    threads: PositiveInt | None


@dataclass(frozen=True)
class ApplyConfig(RunCommandConfig):
    """The root of a command that applies a model to new data."""

    data: str
    out: str
    seed: Seed
    dataset: PlaceConfig
    trainer: DeviceConfig


@dataclass(frozen=True)
class EncodeConfig(ApplyConfig):
    """The root of vae-encode."""


@dataclass(frozen=True)
class ReconstructConfig(ApplyConfig):
    """The root of vae-reconstruct."""


@dataclass(frozen=True)
class ScoreConfig(ApplyConfig):
    """The root of vae-score."""

    samples: Samples
    reference: NonNegativeInt


@dataclass(frozen=True)
class ExportConfig(RunCommandConfig):
    """The root of vae-export."""

    format: Literal["onnx", "torch", "safetensors"]
    out: str | None


@dataclass(frozen=True)
class PushConfig(RunCommandConfig):
    """The root of vae-push."""

    to: str
    private: bool


@dataclass(frozen=True)
class ExploreConfig(RunCommandConfig):
    """The root of vae-explore."""

    data: str
    n: PositiveInt
    map: Literal["pca", "umap"]
    sliders: PositiveInt
    port: Annotated[NonNegativeInt, Le(65535)]
    dataset: PlaceConfig


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


SCHEMAS: dict[str, type] = {
    "eval": EvalConfig,
    "sample": SampleConfig,
    "encode": EncodeConfig,
    "score": ScoreConfig,
    "reconstruct": ReconstructConfig,
    "export": ExportConfig,
    "push": PushConfig,
    "explore": ExploreConfig,
    "kl": KLConfig,
    "cavi": CAVIConfig,
}
"""By root configuration, the commands that do not train."""
