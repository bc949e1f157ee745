"""How many jobs of a sweep a launcher runs at a time on this machine, and how many threads each of them gets."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from vae_cli.distributed.cores import set_by_user, usable


@dataclass(frozen=True)
class Shares:
    """Jobs at a time, and the threads of each, which its processes divide."""

    jobs: int
    threads: int

    @classmethod
    def of(cls, config: DictConfig, jobs: int) -> Shares:
        """Shares of `jobs` jobs: a core for each process where there are so many, all cores where jobs are few.

        joblib's launcher has n_jobs; cluster.parallel limits the jobs of submitit's. Threads that the user has set by
        trainer.threads or OMP_NUM_THREADS stay as they are.
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
        jobs, threads = ("1 job" if self.jobs == 1 else f"{self.jobs} jobs"), self.threads
        return f"{jobs} at a time, {threads} {'thread' if threads == 1 else 'threads'} each"
