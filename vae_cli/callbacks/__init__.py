"""What happens beside training: exact random state, phases, warnings, numbers, progress, pictures for the loggers."""

from vae_cli.callbacks.components import ComponentWatch
from vae_cli.callbacks.history import History
from vae_cli.callbacks.panels import Panels
from vae_cli.callbacks.phases import PhaseStart
from vae_cli.callbacks.progress import EpochProgress
from vae_cli.callbacks.random_state import RandomState
from vae_cli.callbacks.standing import Standing

__all__ = ["ComponentWatch", "EpochProgress", "History", "Panels", "PhaseStart", "RandomState", "Standing"]
