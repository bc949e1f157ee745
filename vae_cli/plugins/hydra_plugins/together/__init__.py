"""hydra/launcher=together: the jobs of a sweep in a process for each core, where they take their steps together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, configure_log
from omegaconf import DictConfig

from vae_cli.config.search import searches
from vae_cli.distributed.cores import set_by_user, usable
from vae_cli.distributed.signals import INTERRUPTED
from vae_cli.errors import FAILED, counted
from vae_cli.sweeps import server, workers
from vae_cli.sweeps.composing import ComposingLauncher
from vae_cli.sweeps.hydra_job import run_job
from vae_cli.sweeps.side_by_side import Shares
from vae_cli.sweeps.stacks import Stacks, divided, kind_of
from vae_cli.sweeps.table import SweepTable
from vae_cli.sweeps.workers import Share


class Together(ComposingLauncher):
    """Runs jobs at the same time; those of one process whose models have one structure are stacked."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs in a process for each core, with a GPU in one; a single process is this one."""
        self.begin()
        shares = Shares.of(self.config, len(job_overrides))
        if shares.jobs > 1:
            server.begin()  # unless the command line has told the command to do so
        jobs = [self.job(number, line) for number, line in enumerate(job_overrides, initial_job_idx)]
        if shares.jobs == 1:
            return self._run_here(jobs)
        if self.config.trainer.accelerator != "cpu" and workers.on_gpu():
            shares = Shares(1, set_by_user() or usable())
        kinds = [kind_of(job, line) for job, line in zip(jobs, job_overrides, strict=True)]
        return self._run_in_workers(jobs, divided(kinds, shares.jobs), shares.threads)

    def _run_in_workers(
        self, jobs: Sequence[DictConfig], division: Sequence[Sequence[int]], threads: int
    ) -> list[JobReturn]:
        """The scores of the jobs; SystemExit where workers have ended before their jobs."""
        count, of = len(division), len(jobs) + jobs[0].hydra.job.num
        if not searches(self.config):
            each = f"{counted(count, 'process', 'processes')}, {counted(threads, 'thread')} each"
            print(f"sweep: {counted(len(jobs), 'job')} in {each}", flush=True)
        ends = workers.run([Share([jobs[place] for place in places], of, threads, count) for places in division])
        returns: dict[int, JobReturn] = {}
        for places, end in zip(division, ends, strict=True):
            _note(end.stacks)
            for place, score in zip(places, end.scores, strict=False):
                returns[place] = JobReturn(jobs[place].hydra.overrides.task, status=JobStatus.COMPLETED)
                returns[place].return_value = score
        if failures := [end.failure for end in ends if end.failure]:
            code = next((one.exit_code for one in failures if one.is_stop), FAILED)
            raise KeyboardInterrupt if code == INTERRUPTED else SystemExit(code)
        return [returns[place] for place in range(len(jobs))]

    def _run_here(self, jobs: Sequence[DictConfig]) -> list[JobReturn]:
        from vae_cli.distributed.cores import flush_denormals
        from vae_cli.distributed.machine import share_freed_memory
        from vae_cli.sweeps.together import run_together
        from vae_cli.training.together import Conductor

        flush_denormals()
        share_freed_memory()
        conductor = Conductor()
        try:
            return run_together([partial(run_job, self.task, job, self.context) for job in jobs], conductor)
        finally:
            _note(Stacks(conductor.together, conductor.alone))
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)


def _note(stacks: Stacks) -> None:
    """Let the table of the sweep tell how jobs were trained."""
    if table := SweepTable.current:
        table.stacks = table.stacks or Stacks()
        table.stacks.add(stacks)


ConfigStore.instance().store(
    "together", {"_target_": f"{__name__}.{Together.__name__}"}, "hydra/launcher", provider="vae_cli"
)
