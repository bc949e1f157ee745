"""Data files on disk: their folder, their download, and the check of their content."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from hashlib import md5
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import TypeVar

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from vae_cli.errors import UserError
from vae_cli.runs.atomic_files import write_atomically
from vae_cli.runs.find import run_around

T = TypeVar("T")
LARGEST = 2**28  # largest unpacked file, bytes; the largest in use has 47 million
PATIENCE = 10.0  # timeout of a mirror, seconds
SLOWEST = 20_000  # least rate of a mirror, bytes a second


def data_root(root: str | None) -> Path:
    """The folder of data files: as configured, else $VAE_DATA_DIR, else the user's cache."""
    chosen = root or os.environ.get("VAE_DATA_DIR")
    return Path(chosen).expanduser().absolute() if chosen else Path(user_cache_dir("vae-cli"))


def remedy(path: Path) -> str:
    """The remedy for a damaged file: delete a downloaded one; replace the user's own."""
    if path.is_relative_to(user_cache_dir("vae-cli")):
        return "delete it and start again: it will be fetched anew"
    return "replace or remove it, or point dataset.root elsewhere"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch files into a folder, which is made if it is missing."""
    if run := run_around(folder):
        raise UserError(f"{folder}: data would be fetched into the folder of a run, {run}; set dataset.root")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that fetches data into {folder}", flush=True)
            lock.acquire()
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror or error}); set dataset.root or VAE_DATA_DIR to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def store(path: Path, content: bytes) -> None:
    """Write a data file so that other processes see the whole of it or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror or error})") from error


def gunzip(content: bytes, path: Path) -> bytes:
    """The content of a file, decompressed if it is gzipped."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with GzipFile(fileobj=BytesIO(content)) as file:
            raw = file.read(LARGEST + 1)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); {remedy(path)}") from error
    if len(raw) > LARGEST:
        raise UserError(f"{path} is damaged (it unpacks to more than {LARGEST:,} bytes); {remedy(path)}")
    return raw


def read_bytes(path: Path) -> bytes:
    """The content of a file; UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error})") from error


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call, or TimeoutError: name resolution obeys no socket's time limit."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result(timeout=seconds)


def download(url: str) -> bytes:
    """The bytes behind a URL; OSError (TimeoutError included) if the server is out of reach or too slow."""
    request = urllib.request.Request(url, headers={"User-Agent": "vae-cli"})
    try:
        response = within(PATIENCE, lambda: urllib.request.urlopen(request, timeout=PATIENCE))
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection open
        raise
    started, content = time.monotonic(), bytearray()
    with response:
        while chunk := response.read(1 << 16):
            content += chunk
            if time.monotonic() - started > PATIENCE + len(content) / SLOWEST:
                raise TimeoutError(f"slower than {SLOWEST} bytes a second")
    return bytes(content)


def obtain(path: Path, urls: Sequence[str], expected_md5: str) -> None:
    """Check a file by its MD5; fetch it if it is missing."""
    if not path.is_file():
        fetch(path, urls, expected_md5)
    elif md5(read_bytes(path), usedforsecurity=False).hexdigest() != expected_md5:
        raise UserError(f"{path} is damaged (MD5 differs from the published file's); {remedy(path)}")


def fetch(path: Path, urls: Sequence[str], expected_md5: str) -> None:
    """Put a file in its place from the first URL that serves it; UserError names the place to put it by hand."""
    print(f"fetching {path.name} into {path.parent}", flush=True)
    failures = []
    for url in urls:
        try:
            content = download(url)
        except (OSError, HTTPException, ValueError, UserError) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
            continue
        if md5(content, usedforsecurity=False).hexdigest() == expected_md5:
            return store(path, content)
        failures.append(f"{url}: another file than expected")
    raise UserError(f"could not fetch {path.name} ({'; '.join(failures)}); place it by hand as {path}")
