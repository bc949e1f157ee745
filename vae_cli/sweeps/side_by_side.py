"""Concurrency of local sweeps: jobs at a time, and threads per job."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from vae_cli.distributed.cores import set_by_user, usable
from vae_cli.errors import counted


@dataclass(frozen=True)
class Shares:
    """Number of jobs at a time, and threads per job, shared by its processes."""

    jobs: int
    threads: int

    @classmethod
    def of(cls, config: DictConfig, jobs: int) -> Shares:
        """Shares of `jobs` jobs: one core per process, and more if jobs are few.

        n_jobs limits joblib, cluster.parallel limits submitit. Threads set by trainer.threads or OMP_NUM_THREADS stay.
        """
        devices = config.trainer.devices
        processes = len(devices) if OmegaConf.is_list(devices) else devices
        cores, launcher = usable(), config.hydra.launcher
        asked = set_by_user() or processes * (config.trainer.threads or 0)
        if "n_jobs" in launcher:
            at_once = launcher.n_jobs if launcher.n_jobs > 0 else max(1, cores + 1 + launcher.n_jobs)
        else:
            at_once = min(config.cluster.parallel, max(1, cores // (asked or processes)))
        at_once = min(at_once, jobs)
        return cls(at_once, asked or max(1, cores // at_once))

    def __str__(self) -> str:
        return f"{counted(self.jobs, 'job')} at a time, {counted(self.threads, 'thread')} each"
