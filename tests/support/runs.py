"""Files of a run's folder."""

import json
from pathlib import Path
from typing import Any


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text(encoding="utf-8"))
