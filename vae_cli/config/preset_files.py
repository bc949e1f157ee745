"""The user's YAML files as hydra reads them, except that presets need no header and a byte order mark is skipped."""

from dataclasses import fields
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf

from vae_cli.config.schema import TrainConfig
from vae_cli.config.sources import OTHERS

GROUPS = {*OTHERS, *(field.name for field in fields(TrainConfig))}
"""Folders whose files configure the group of the folder; the files of the others set keys from the top level on."""


class UserFiles(FileConfigSource):
    """Files below a folder."""

    @staticmethod
    def scheme() -> str:
        return "vae"

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path) / self._normalize_file_name(config_path)
        if not file.is_file():
            raise ConfigLoadError(f"Config not found : {file}")
        with file.open(encoding="utf-8-sig") as stream:
            header = self._get_header_dict(stream.read(512))
            stream.seek(0)
            config = OmegaConf.load(stream)
        if header["package"] is None and Path(config_path).parts[0] not in GROUPS:
            header["package"] = "_global_"
        return ConfigResult(config=config, path=f"{self.scheme()}://{self.path}", provider=self.provider, header=header)
