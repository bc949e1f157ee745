"""A run's final numbers, results.json with flat keys: the versions and the source code by which they came about."""

from __future__ import annotations

import platform
import re
import sys
from functools import cache
from importlib.metadata import distributions

from vae_cli.runs.source_code import SourceCode

Results = dict[str, float | int | str | bool | list[float] | list[str] | list[dict[str, object]] | None]


def provenance(code: SourceCode) -> Results:
    """Versions of Python and of the packages that this process has imported, and the commits of the code."""
    results: Results = {f"version/{name}": version for name, version in sorted(_imported().items())}
    results["version/python"] = platform.python_version()
    for prefix, checkout in code.checkouts().items():
        results |= {
            f"{prefix}/commit": checkout.commit if checkout else None,
            f"{prefix}/dirty": bool(checkout.changes) if checkout else None,
        }
    return results


def _imported() -> dict[str, str]:
    """Versions of the packages with an imported module."""
    names = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
    return {name: version for name, version, modules in installed_packages() if modules & names}


@cache
def installed_packages() -> list[tuple[str, str, set[str]]]:
    """Name, version and top-level modules of each package; importlib's own readers take three times as long."""
    found = []
    for one in distributions():
        header = (one.read_text("METADATA") or one.read_text("PKG-INFO") or "").partition("\n\n")[0]
        fields = dict(re.findall(r"^(Name|Version): *(.*)$", header, re.MULTILINE))
        listed = one.read_text("top_level.txt")
        if listed is None:  # modern wheels list their files alone
            listed = "\n".join(set(re.findall(r"^([^/,.\n]+)", one.read_text("RECORD") or "", re.MULTILINE)))
        found.append((fields["Name"], fields["Version"], {*listed.split(), fields["Name"].replace("-", "_")}))
    return found
