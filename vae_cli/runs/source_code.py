"""The source code that runs: its commit, and the changes since then, read from git in the background."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Thread

from vae_cli.runs.atomic_files import write_atomically
from vae_cli.runs.layout import conf_folder

PACKAGE = Path(__file__).resolve().parents[1]
LIMIT = 1_000_000
"""Bytes of the changes that are kept."""
PATIENCE = 10.0
"""Seconds that the end of a run waits for git."""


@dataclass(frozen=True)
class Checkout:
    """A commit, and the differences of tracked files and of new Python files from it, as `git apply` reads them."""

    commit: str
    changes: bytes

    @classmethod
    def around(cls, folder: Path) -> Checkout | None:
        """The checkout that a folder lies in, if it does and has a commit."""
        lines = _git(folder, "rev-parse", "HEAD", "--show-toplevel").decode(errors="replace").splitlines()
        if len(lines) != 2:
            return None
        root = Path(lines[1])
        changes = _git(root, "diff", "HEAD", "--no-ext-diff", "--no-color")
        names = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py").split(b"\0")
        for name in filter(None, names):
            if len(changes) <= LIMIT:
                changes += b"".join(_added(root, name.decode(errors="surrogateescape")))
        return cls(lines[0], changes)

    def write(self, file: Path) -> None:
        """Write the changes, at most LIMIT bytes; a first line says if more was cut off."""
        cut = f"cut after {LIMIT:,} bytes: further changes are missing\n".encode()
        text = cut + self.changes[:LIMIT] if len(self.changes) > LIMIT else self.changes
        write_atomically(file, lambda out: out.write(text))


@dataclass
class SourceCode:
    """Checkouts by the prefix of their keys in results.json: `git` of this package, `project` of the user.

    A thread reads them, because `git diff` takes seconds in a large tree.
    """

    folders: dict[str, Path]
    found: dict[str, Checkout | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for prefix, folder in self.folders.items():
            self.found[prefix] = Checkout.around(folder)

    def checkouts(self) -> dict[str, Checkout | None]:
        """The checkouts, None where there is none, or where git has not answered in time."""
        self.thread.join(PATIENCE)
        return {prefix: self.found.get(prefix) for prefix in self.folders}

    def write(self, folder: Path) -> None:
        """Write PREFIX.diff for each checkout that differs from its commit; remove that of an earlier start."""
        for prefix, checkout in self.checkouts().items():
            file = folder / f"{prefix}.diff"
            if checkout and checkout.changes:
                checkout.write(file)
            else:
                file.unlink(missing_ok=True)


@cache
def source_code(start: Path) -> SourceCode:
    """The code of a process that was started in a folder, as it is at the first call: the process has imported it."""
    installed = conf_folder().is_relative_to(PACKAGE)
    own = {} if installed else {"git": PACKAGE.parent}
    user = {} if own and start.resolve().is_relative_to(PACKAGE.parent) else {"project": start}
    return SourceCode(own | user)


def _git(folder: Path, *arguments: str) -> bytes:
    """The output of git, of which a bit more than LIMIT is read; empty where it fails."""
    line = ["git", "-C", str(folder), *arguments]
    closed = subprocess.DEVNULL
    try:
        with subprocess.Popen(
            line, stdin=closed, stdout=subprocess.PIPE, stderr=closed, start_new_session=True
        ) as process:
            text = process.stdout.read(LIMIT + 1) if process.stdout else b""
            if cut := len(text) > LIMIT:
                process.kill()
    except OSError:
        return b""
    return text if cut or process.returncode == 0 else b""


def _added(root: Path, name: str) -> Iterator[bytes]:
    """A new file as git shows it once it is added."""
    try:
        with (root / name).open("rb") as file:
            lines = file.read(LIMIT).splitlines(keepends=True)
    except OSError:
        return
    path = name.encode(errors="surrogateescape")
    yield b"diff --git a/%b b/%b\nnew file mode 100644\n" % (path, path)
    if lines:
        yield b"--- /dev/null\n+++ b/%b\n@@ -0,0 +1,%d @@\n" % (path, len(lines))
        yield from (b"+" + line for line in lines)
        yield b"" if lines[-1].endswith(b"\n") else b"\n\\ No newline at end of file\n"
