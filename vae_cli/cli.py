"""The console commands. --help imports nothing heavy; nothing imports torch before the configuration is checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vae_cli import help
from vae_cli.errors import UserError
from vae_cli.folders import checkpoint_path, conf_folder
from vae_cli.signals import listen

T = TypeVar("T")
REFUSED = 2


def train() -> None:
    """vae-train: check everything, then hand over to hydra, so that its launchers and sweepers work."""
    argv = _begin("vae-train")
    import hydra

    from vae_cli.preflight import prepare_training

    arguments = _checked("vae-train", lambda: prepare_training(argv))
    from vae_cli.job import task
    from vae_cli.sweep import SweepTable

    sys.argv[1:] = arguments  # the program stays: Lightning starts it again for further devices
    code = 0
    try:
        hydra.main(config_path=str(conf_folder()), config_name="train", version_base="1.3")(task)()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    if SweepTable.current is not None and code != 2:  # a refusal; the folder is as it was
        failed = SweepTable.current.finish()
        code = code or failed
        if code:
            print(f"go on with: {SweepTable.current.command(argv)}")
    sys.exit(code)


def evaluate() -> None:
    """vae-eval: evaluate a run's checkpoint again."""
    argv = _begin("vae-eval")
    from vae_cli.schema import EvalConfig

    def work(config: Any) -> None:
        _readable(config)
        from vae_cli.evaluate import evaluate_run

        evaluate_run(config)

    _command("vae-eval", "eval", EvalConfig, argv, work)


def sample() -> None:
    """vae-sample: draw from a run's model."""
    argv = _begin("vae-sample")
    from vae_cli.schema import SampleConfig

    def work(config: Any) -> None:
        _readable(config)
        from vae_cli.sample import sample_run

        sample_run(config)

    _command("vae-sample", "sample", SampleConfig, argv, work)


def kl() -> None:
    """vae-kl: fit a Gaussian to a density on the line by either direction of KL."""
    argv = _begin("vae-kl")
    from vae_cli.schema import KLConfig

    def work(config: Any) -> None:
        from vae_cli.kl.fit import fit

        fit(config)

    _command("vae-kl", "kl", KLConfig, argv, work)


def cavi() -> None:
    """vae-cavi: mean-field inference by coordinate ascent, where it has a closed form."""
    argv = _begin("vae-cavi")
    from vae_cli.schema import CAVIConfig

    def work(config: Any) -> None:
        from vae_cli.cavi.study import run

        run(config)

    _command("vae-cavi", "cavi", CAVIConfig, argv, work)


def report() -> None:
    """vae-report: a page and tables over any set of runs."""
    argv = _begin("vae-report")
    from vae_cli.report.arguments import Arguments

    arguments = _checked("vae-report", lambda: Arguments.parse(argv))

    def work() -> None:
        from vae_cli.report import write

        write.report(arguments.folders, arguments.out)

    _run("vae-report", work)


def _readable(config: Any) -> None:
    """Refuse a damaged checkpoint before Lightning is imported, which takes seconds."""
    from vae_cli import checkpoints

    path = checkpoint_path(Path(config.run), config.ckpt)
    try:
        checkpoints.load(path)
    except UserError as error:
        raise UserError(f"{error}; take another one{checkpoints.others(path)}") from error


def _begin(command: str) -> list[str]:
    """The arguments, unless they ask for help or the version."""
    listen()
    argv = sys.argv[1:]
    if {"--help", "-h"} & set(argv):
        print(help.text(command, argv))
        sys.exit(0)
    if "--version" in argv:
        import vae_cli

        print(f"{command} {vae_cli.__version__}")
        sys.exit(0)
    return argv


def _command(command: str, root: str, schema: type, argv: list[str], work: Callable[[Any], None]) -> None:
    """Check, show or run a command that is no hydra application."""
    from omegaconf import OmegaConf

    from vae_cli.preflight import prepare_command

    config, show = _checked(command, lambda: prepare_command(root, schema, argv))
    if show:
        print(OmegaConf.to_yaml(config), end="")
        return
    _run(command, lambda: work(config))


def _run(command: str, work: Callable[[], None]) -> None:
    """Do the work of a command; a failure is a line on stderr and an exit code."""
    from vae_cli.job import Failure, attempt, report

    result = attempt(work)
    if isinstance(result, Failure):
        report(command, result)
        sys.exit(result.exit_code)


def _checked(command: str, prepare: Callable[[], T]) -> T:
    """What was asked for, checked; a refusal is a line on stderr and exit code 2, for nothing is written yet."""
    from vae_cli.job import Failure, attempt, report

    result = attempt(prepare)
    if isinstance(result, Failure):
        report(command, result)
        sys.exit(max(result.exit_code, REFUSED))
    return result
