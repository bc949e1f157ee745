"""hydra/launcher=submitit_local and joblib: replacements of the packages' launchers, whose jobs share the cores."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from vae_cli.config.search import searches
from vae_cli.errors import counted
from vae_cli.sweeps.side_by_side import Shares
from vae_cli.sweeps.table import SweepTable

if TYPE_CHECKING:
    import submitit

LONGEST = 60 * 24 * 365
"""Time limit of a local job in minutes; submitit's default is one hour."""
PATIENCE = 60.0
"""Seconds that jobs have to stop."""
PAUSE = 0.2
"""Seconds between two polls of the jobs."""


@contextmanager
def _shared(config: DictConfig, jobs: int) -> Iterator[Shares]:
    """Divide the cores among the processes that start in this context; report the division to the sweep's table."""
    shares, before = Shares.of(config, jobs), dict(os.environ)
    if SweepTable.current:
        SweepTable.current.shares = shares
    if not searches(config):
        print(f"sweep: {counted(jobs, 'job')}, {shares}", flush=True)
    os.environ["OMP_NUM_THREADS"] = str(shares.threads)
    if shares.jobs > 1:
        os.environ["TERM"] = "dumb"  # bars of several processes would overwrite each other
    try:
        yield shares
    finally:
        for name in ("OMP_NUM_THREADS", "TERM"):
            os.environ.pop(name, None)
        os.environ |= {name: before[name] for name in ("OMP_NUM_THREADS", "TERM") if name in before}


def _register(name: str, node: object, **changes: object) -> None:
    settings = OmegaConf.merge(OmegaConf.structured(node), changes)
    ConfigStore.instance().store(name, settings, "hydra/launcher", provider="vae_cli")


if find_spec("submitit"):
    from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher

    @contextmanager
    def _stopping(jobs: Sequence[submitit.Job[JobReturn]]) -> Iterator[None]:
        """Tell the jobs of a sweep that is stopped to save and stop: they would survive it."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            for job in jobs:
                if not job.done():
                    os.kill(int(job.job_id), signal.SIGTERM)  # its process passes it on
            end = time.monotonic() + PATIENCE
            while not all(job.done() for job in jobs) and time.monotonic() < end:
                time.sleep(PAUSE)
            for job in jobs:
                job.cancel(check=False)
            raise

    class SubmititJobs(LocalLauncher):
        """Starts a job as soon as its cores are free; submitit's launcher starts all at once."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            import submitit

            assert self.config and self.hydra_context and self.task_function
            executor = submitit.LocalExecutor(self.params["submitit_folder"])
            known = ("timeout_min", "gpus_per_node", "tasks_per_node", "nodes", "name", "stderr_to_stdout")
            executor.update_parameters(**{name: self.params[name] for name in known if self.params[name] is not None})
            work = LocalLauncher(**self.params)  # a job's process can import it, but nothing of this folder
            work.setup(hydra_context=self.hydra_context, task_function=self.task_function, config=self.config)
            waiting = deque(enumerate(job_overrides, initial_job_idx))
            jobs: list[submitit.Job[JobReturn]] = []
            state = Singleton.get_state()
            with _shared(self.config, len(job_overrides)) as shares, _stopping(jobs):
                while waiting:
                    if sum(not job.done() for job in jobs) >= shares.jobs:
                        time.sleep(PAUSE)
                        continue
                    number, overrides = waiting.popleft()
                    jobs.append(executor.submit(work, list(overrides), "hydra.sweep.dir", number, str(number), state))
                return [job.results()[0] for job in jobs]

    _register("submitit_local", LocalQueueConf, _target_=f"{__name__}.SubmititJobs", timeout_min=LONGEST)

if find_spec("hydra_plugins.hydra_joblib_launcher"):
    from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
    from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

    class JoblibJobs(JoblibLauncher):
        """Starts at most one worker per job; the cores are divided among these workers."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            assert self.config is not None
            with _shared(self.config, len(job_overrides)) as shares:
                self.joblib["n_jobs"] = shares.jobs
                return super().launch(job_overrides, initial_job_idx)

    _register("joblib", JobLibLauncherConf, _target_=f"{__name__}.JoblibJobs")
