"""What happens beside training: exact random state, phases, warnings, numbers, progress, pictures for the loggers."""

from vae_cli.training.callbacks.figure_logger import Panels
from vae_cli.training.callbacks.history import History
from vae_cli.training.callbacks.mixture_monitor import ComponentWatch
from vae_cli.training.callbacks.phase_start import PhaseStart
from vae_cli.training.callbacks.progress import EpochProgress
from vae_cli.training.callbacks.random_state import RandomState
from vae_cli.training.callbacks.status_writer import Standing

__all__ = ["ComponentWatch", "EpochProgress", "History", "Panels", "PhaseStart", "RandomState", "Standing"]
