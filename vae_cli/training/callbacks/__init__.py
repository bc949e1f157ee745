"""Callbacks: random state, start of phases, warnings, metrics, progress, figures for the loggers."""

from vae_cli.training.callbacks.figure_logger import FigureLogger
from vae_cli.training.callbacks.history import History
from vae_cli.training.callbacks.mixture_monitor import MixtureMonitor
from vae_cli.training.callbacks.phase_start import PhaseInitialiser
from vae_cli.training.callbacks.progress import EpochProgress, EvaluationProgress
from vae_cli.training.callbacks.random_state import RandomState
from vae_cli.training.callbacks.status_writer import StatusWriter

__all__ = [
    "EpochProgress",
    "EvaluationProgress",
    "FigureLogger",
    "History",
    "MixtureMonitor",
    "PhaseInitialiser",
    "RandomState",
    "StatusWriter",
]
