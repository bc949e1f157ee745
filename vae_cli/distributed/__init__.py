"""Processes, ranks, cores, signals and SLURM."""
