"""A run's folder: its files, and how each is read and written."""
