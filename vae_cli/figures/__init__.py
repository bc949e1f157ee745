"""Figures of a run, as a paper would show them; `drawing` draws and saves them."""
