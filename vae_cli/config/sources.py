"""The folders and files that configurations are composed from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from vae_cli.errors import ConfigError
from vae_cli.runs.layout import conf_folder, display

OTHERS = {"hydra", "direction", "target", "study"}
"""Folders of options that vae-train does not take: hydra's own, and those of vae-kl and vae-cavi."""


def user_folders(extra: str | None = None) -> list[Path]:
    """The user's own configuration folders that exist: `--config-dir`, VAE_CONF_DIR, ./vae_conf."""
    named = [("--config-dir", extra), ("VAE_CONF_DIR", os.environ.get("VAE_CONF_DIR"))]
    folders = []
    for source, name in named:
        if name:
            if not Path(name).is_dir():
                raise ConfigError(f"{name}: no such folder ({source}); use an existing folder of YAML files")
            folders.append(Path(name).resolve())
    here = Path.cwd() / "vae_conf"
    return [*folders, here] if here.is_dir() and here not in folders else folders


def plugins() -> list[str]:
    """The packages of the user's own whose classes a configuration may name: VAE_PLUGINS."""
    names = os.environ.get("VAE_PLUGINS", "").replace(":", ",").split(",")
    return [name.strip() for name in names if name.strip()]


def find_plugins() -> None:
    """Let Python find packages of VAE_PLUGINS beside `vae_conf` and in the working directory, after all others."""
    if plugins():
        folders = [str(folder.parent) for folder in user_folders()] + [str(Path.cwd())]
        sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]


@dataclass(frozen=True)
class Sources:
    """The folders of configuration files, this package's first."""

    folders: tuple[Path, ...]

    @classmethod
    def find(cls, extra: str | None = None) -> Sources:
        """All of them; a user's file with the name of one of ours would never be read, so it is refused."""
        conf = conf_folder()
        users = user_folders(extra)
        for folder in users:
            for file in sorted(folder.rglob("*.yaml")):
                name = file.relative_to(folder)
                if folder != conf and (conf / name).exists():
                    raise ConfigError(f"{display(file)}: vae_cli has a file of this name; rename yours")
        return cls((conf, *users))

    def groups(self) -> list[str]:
        """Names of the groups that a run is composed from."""
        found = {path.name for folder in self.folders for path in folder.iterdir() if path.is_dir()}
        return sorted(found - OTHERS)

    def options(self, group: str) -> list[str]:
        """Names of the options of a group."""
        return sorted({path.stem for folder in self.folders for path in (folder / group).glob("*.yaml")})

    def file(self, name: str) -> Path | None:
        """The file of an option, as in model/vae."""
        paths = (folder / f"{name}.yaml" for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def files(self) -> Iterator[Path]:
        """All files, a user's first."""
        for folder in reversed(self.folders):
            yield from sorted(folder.rglob("*.yaml"))


def line_of(file: Path, key: str, package: str = "") -> int | None:
    """The line of a YAML file that sets a dotted key, the file's content being mounted at `package`."""
    package = "" if package == "_global_" else package
    if package and key != package and not key.startswith(f"{package}."):
        return None
    parts = [part for part in key[len(package) :].split(".") if part]
    node = yaml.compose(file.read_text(encoding="utf-8"))
    line = node.start_mark.line + 1 if node is not None else 1
    for part in parts:
        if not isinstance(node, yaml.MappingNode):
            return None
        found = [(name, value) for name, value in node.value if name.value == part]
        if not found:
            return None
        line, node = found[-1][0].start_mark.line + 1, found[-1][1]
    return line
