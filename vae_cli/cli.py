"""The console commands. --help imports nothing heavy; nothing imports torch before the configuration is checked."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from vae_cli.distributed import signals
from vae_cli.errors import REFUSED, UserError

T = TypeVar("T")


def train() -> None:
    """vae-train: check every job, then run the one, or start hydra, whose launchers and sweepers run them."""
    _main("vae-train", _train)


def _train(argv: list[str]) -> None:
    os.environ["PYTHONSAFEPATH"] = "1"  # for launchers' processes: a random.py that lies here is not Python's own
    from vae_cli.runs.status import COMMAND

    os.environ[COMMAND] = shlex.join(["vae-train", *argv])
    if "hydra/launcher=together" in argv:
        from vae_cli.sweeps import server

        server.begin()
    import hydra

    from vae_cli.config.preflight import prepare_training
    from vae_cli.runs.layout import conf_folder

    prepared = _checked("vae-train", lambda: prepare_training(argv))
    from vae_cli.commands.composed_run import run_composed, run_sweep
    from vae_cli.commands.job import task
    from vae_cli.sweeps.table import SweepTable

    sys.argv[1:] = prepared.arguments  # the program stays: Lightning starts it again for further devices

    def run() -> int:
        try:
            if prepared.config is not None:
                run_composed(task, prepared.config)
            elif prepared.sweep is not None:
                run_sweep(task, prepared.sweep)
            else:
                hydra.main(config_path=str(conf_folder()), config_name="train", version_base="1.3")(task)()
        except KeyboardInterrupt:
            return signals.INTERRUPTED
        except SystemExit as stop:
            return signals.exit_code(stop)
        return 0

    code = _run("vae-train", run)
    if SweepTable.current is not None and code != REFUSED:
        failed = SweepTable.current.finish()
        code = code or failed
        if code and SweepTable.current.rows:  # SLURM has not refused all jobs
            print(f"continue with: {SweepTable.current.command(argv)}")
    sys.exit(code)


def _configured(name: str, work: str, purpose: str) -> Callable[[], None]:
    """The command vae-ROOT: it checks the configuration of conf/ROOT.yaml and then calls the function `work` on it."""
    root = name.removeprefix("vae-")

    def run(argv: list[str]) -> None:
        from omegaconf import DictConfig, OmegaConf

        from vae_cli.config.command_schemas import SCHEMAS, RunCommandConfig
        from vae_cli.config.preflight import prepare_command

        config = _checked(name, lambda: prepare_command(root, SCHEMAS[root], argv))
        if isinstance(config, DictConfig):
            print(OmegaConf.to_yaml(config).rstrip())
            return

        if getattr(config, "out", None) == "-":
            from vae_cli.distributed.terminal import free_stdout

            free_stdout()

        def begin() -> None:
            if isinstance(config, RunCommandConfig):
                _readable(config.run, config.ckpt)
            module, _, function = work.partition(":")
            begun = getattr(import_module(f"vae_cli.{module}"), function)
            signals.listen()
            begun(config)

        _run(name, begin)

    def command() -> None:
        _main(name, run)

    command.__doc__ = f"{name}: {purpose}"
    return command


evaluate = _configured("vae-eval", "commands.evaluate:evaluate_run", "evaluate a checkpoint of a run again.")
sample = _configured("vae-sample", "commands.sample:sample_run", "draw from the model of a run.")
encode = _configured("vae-encode", "commands.apply:encode_run", "encode new data with the model of a run.")
score = _configured("vae-score", "commands.apply:score_run", "the log-likelihood and ELBO of each example.")
reconstruct = _configured(
    "vae-reconstruct", "commands.apply:reconstruct_run", "reconstruct new data with the model of a run."
)
export = _configured(
    "vae-export", "commands.export.write:export_run", "write a model in a format that needs no vae_cli."
)
push = _configured("vae-push", "commands.export.push:push_run", "publish a run on the Hugging Face Hub.")
explore = _configured("vae-explore", "commands.explore.serve:explore_run", "show the latent space of a run on a page.")
kl = _configured("vae-kl", "studies.kl.fit:fit", "fit a Gaussian to a density on the line by KL(q || p) or KL(p || q).")
cavi = _configured("vae-cavi", "studies.cavi.study:run", "mean-field inference by coordinate ascent in closed form.")


def report() -> None:
    """vae-report: a page and tables over a set of runs."""
    _main("vae-report", _report)


def _report(argv: list[str]) -> None:
    from vae_cli.report.arguments import Arguments

    arguments = _checked("vae-report", lambda: Arguments.parse(argv))

    def work() -> None:
        from vae_cli.report import write

        signals.listen()
        write.report(arguments.folders, arguments.out, arguments.wandb)

    _run("vae-report", work)


def status() -> None:
    """vae-status: the states of runs and sweeps; ends or repeats them."""
    _main("vae-status", _status)


def _status(argv: list[str]) -> None:
    from vae_cli.commands.status import Arguments, status

    arguments = _checked("vae-status", lambda: Arguments.parse(argv))
    signals.listen()
    code = _run("vae-status", lambda: status(arguments))
    sys.exit(code)


def _readable(run: str, ckpt: str) -> None:
    """Refuse a damaged checkpoint before Lightning is imported, because that import takes seconds."""
    from vae_cli.distributed.progress import task

    with task("reading the checkpoint"):
        from vae_cli.runs import checkpoints
        from vae_cli.runs.folder import RunFolder

        path = RunFolder(Path(run)).checkpoint(ckpt)
        try:
            checkpoints.load(path)
        except UserError as error:
            raise UserError(f"{error}; {checkpoints.others(path)}") from error


def _main(command: str, work: Callable[[list[str]], None]) -> None:
    """Run a command, or print its help or version; a signal before or after that ends the process at once."""
    signals.begin(command)
    from vae_cli.distributed.terminal import outlive

    outlive()
    argv, code = sys.argv[1:], 0
    try:
        if {"--help", "-h", "--completion"} & set(argv):
            code = _help(command, argv)
        elif argv[:1] == ["--complete"]:
            from vae_cli.config.completion import completions

            print("\n".join(completions(command, "".join(argv[1:2]))))
        elif "--version" in argv:
            import vae_cli

            print(f"{command} {vae_cli.__version__}")
        else:
            from vae_cli.distributed.cores import limit_spinning

            limit_spinning()
            work(argv)
    except KeyboardInterrupt:
        code = signals.INTERRUPTED
    except SystemExit as stop:
        code = signals.exit_code(stop)
    signals.finish(code)
    sys.exit(code)


def _help(command: str, argv: list[str]) -> int:
    """Print the help or a page; returns the exit code."""
    from vae_cli.config import help
    from vae_cli.errors import UserError

    try:
        if "--completion" in argv:
            from vae_cli.config.completion import script

            print(script("".join(argv[argv.index("--completion") + 1 :][:1])), end="")
        else:
            print(help.text(command, argv))
    except UserError as error:
        print(f"{command}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _run(command: str, work: Callable[[], T]) -> T:
    """Run a command; a failure is one line on stderr and an exit code."""
    from vae_cli.commands.failure import attempt, require

    return require(command, attempt(work))


def _checked(command: str, prepare: Callable[[], T]) -> T:
    """Check the arguments; a refusal is one line on stderr and exit code 2, and nothing is written."""
    from vae_cli.commands.failure import attempt, require

    return require(command, attempt(prepare), REFUSED)
