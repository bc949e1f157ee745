"""Sweeps: their table, launchers and searches."""
