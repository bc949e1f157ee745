"""An experiment runner for variational autoencoders; importing it costs nothing, torch comes with `load`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_cli.commands.run import load as load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from vae_cli.commands.run import load

        return load
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("vae-cli")
        except PackageNotFoundError:  # a source tree that is not installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
