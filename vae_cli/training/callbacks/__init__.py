"""Callbacks: random state, start of phases, warnings, metrics, progress, logs."""

from vae_cli.training.callbacks.history import History
from vae_cli.training.callbacks.image_logger import ImageLogger
from vae_cli.training.callbacks.log_writer import LogWriter
from vae_cli.training.callbacks.mixture_monitor import MixtureMonitor
from vae_cli.training.callbacks.phase_start import PhaseInitialiser
from vae_cli.training.callbacks.progress import EpochProgress, EvaluationProgress
from vae_cli.training.callbacks.random_state import RandomState
from vae_cli.training.callbacks.status_writer import StatusWriter

__all__ = [
    "EpochProgress",
    "EvaluationProgress",
    "History",
    "ImageLogger",
    "LogWriter",
    "MixtureMonitor",
    "PhaseInitialiser",
    "RandomState",
    "StatusWriter",
]
