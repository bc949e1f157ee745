"""Exports: a model as functions of arrays, in formats that need no vae_cli."""
