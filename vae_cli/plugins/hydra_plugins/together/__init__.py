"""hydra/launcher=together: the jobs of a sweep in one process, which take their training steps together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from omegaconf import open_dict

from vae_cli.sweeps.table import SweepTable


class Together(BasicLauncher):
    """Runs jobs at the same time; those whose models have one structure are stacked."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from vae_cli.distributed.cores import flush_denormals
        from vae_cli.distributed.machine import share_freed_memory
        from vae_cli.sweeps.together import run_together
        from vae_cli.training.together import Conductor

        assert self.config and self.hydra_context
        setup_globals()
        flush_denormals()
        share_freed_memory()
        works = [partial(self._run, list(line), number) for number, line in enumerate(job_overrides, initial_job_idx)]
        conductor = Conductor()
        if SweepTable.current:
            SweepTable.current.conductor = conductor
        ends = run_together(works, conductor)
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        return ends

    def _run(self, overrides: list[str], number: int) -> JobReturn:
        assert self.config and self.hydra_context and self.task_function
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return run_job(self.task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", self.hydra_context)


ConfigStore.instance().store(
    "together", {"_target_": f"{__name__}.{Together.__name__}"}, "hydra/launcher", provider="vae_cli"
)
