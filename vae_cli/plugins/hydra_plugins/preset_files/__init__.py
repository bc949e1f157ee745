"""The source of the user's YAML files, where hydra looks for it; a job's process imports it from vae_cli."""

from vae_cli.config.preset_files import UserFiles

__all__ = ["UserFiles"]
