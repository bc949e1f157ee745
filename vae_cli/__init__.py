"""An experiment runner for variational autoencoders.

`train(["dataset=digits"])` trains as `vae-train dataset=digits` does and returns the Run; `load(folder)` returns the
Run of a folder. The import of this package is quick: torch comes with the first use of `train` or `load`.
"""

from typing import TYPE_CHECKING, Any

from vae_cli.errors import ConfigError, UserError

if TYPE_CHECKING:
    from vae_cli.commands.python import train
    from vae_cli.commands.run import Run, load

    __version__: str

__all__ = ["ConfigError", "Run", "UserError", "__version__", "load", "train"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "train":
        from vae_cli.commands.python import train

        return train
    if name in ("Run", "load"):
        from vae_cli.commands import run

        return getattr(run, name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("vae-cli")
        except PackageNotFoundError:  # a source tree that is not installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
