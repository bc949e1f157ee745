"""The console commands."""

from vae_cli.commands import light_imports

light_imports.install()  # before Lightning is imported
