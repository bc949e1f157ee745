"""`wandb sync` of offline runs, by the real client to a server on this machine that stands for W&B's."""

import csv
import gzip
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.commands import environment, fork

pytestmark = pytest.mark.slow

SMALL = ["dataset=digits", "network.hidden=[4]", "model.latent_dim=2", "evaluate.samples=2", "figures=[]",
         "trainer.accelerator=cpu", "trainer.threads=1", "logger=[wandb,csv]", "logger.wandb.mode=offline"]  # fmt: skip


class Server(ThreadingHTTPServer):
    """Keeps the rows, the summaries and the names of the files of each run, and refuses no request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.config: dict[str, dict[str, Any]] = {}
        self.group: dict[str, str] = {}
        self.files = set[str]()

    def ask(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a GraphQL operation; the client does without the answers to others."""
        name = given.get("name")
        if operation == "RunResumeStatus":
            return {"model": self.resumption(name) if name in self.config else None}
        if operation == "UpsertBucket":
            inserted = name not in self.config
            self.config[name] = json.loads(given["config"])
            self.group[name] = given["groupName"] or self.group.get(name)
            project = {"id": "1", "name": given["project"], "entity": {"id": "1", "name": "me"}}
            bucket = {"id": name, "name": name, "project": project, "historyLineCount": len(self.rows[name])}
            return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}
        if operation == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.address}/{given['run']}/{file}"} for file in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return {}

    def resumption(self, name: str) -> dict[str, Any]:
        """The state of a run from which the client continues it."""
        rows = self.rows[name]
        counts = {"historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0}
        tails = {"historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]), "eventsTail": "[]"}
        known = {"config": json.dumps(self.config[name]), "summaryMetrics": json.dumps(rows[-1] if rows else {})}
        more = {"id": name, "name": name, "displayName": name, "tags": [], "notes": None, "wandbConfig": "{}"}
        return {"id": "1", "name": "vae", "entity": {"id": "1", "name": "me"}, "bucket": more | counts | tails | known}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        content = json.loads(self.body())
        if self.path == "/graphql":
            self.answer({"data": self.server.ask(content["operationName"], content["variables"])})
            return
        run = self.path.split("/")[-2]
        if history := content.get("files", {}).get("wandb-history.jsonl"):
            self.server.rows[run][history["offset"] :] = map(json.loads, history["content"])
        self.answer({"exitcode": None, "limits": {}})

    def do_PUT(self) -> None:
        self.body()
        self.server.files.add(self.path[1:])
        self.answer({})

    def body(self) -> bytes:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def answer(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client resets those that it does not use
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_command_of_the_page_sends_each_start_of_a_run_in_order(server: Server, tmp_path: Path) -> None:
    sweep = ["-m", *SMALL, "objective.beta=1,2", "hydra.sweep.dir=outputs/beta"]
    assert fork("vae-train", *sweep, "trainer.max_epochs=2", folder=tmp_path).code == 0
    assert fork("vae-train", "resume=outputs/beta/objective.beta=2", "trainer.max_epochs=4", folder=tmp_path).code == 0
    places = sorted(map(str, tmp_path.glob("outputs/beta/*/wandb/offline-run-*")))
    assert len(places) == 3

    def sync() -> str:
        here = environment(WANDB_BASE_URL=server.address, WANDB_API_KEY="a" * 40, HOME=str(tmp_path))
        command = [sys.executable, "-m", "wandb", "sync", *places]
        done = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    told = sync()
    assert told.count("Finished syncing") == 3, told
    runs = {config["objective"]["value"]["beta"]: run for run, config in server.config.items()}
    assert sorted(runs) == [1, 2] and {*server.group.values()} == {"outputs/beta"}
    for beta, run in runs.items():
        rows = server.rows[run]
        steps = [row["_step"] for row in rows]
        with (tmp_path / "outputs" / "beta" / f"objective.beta={beta}" / "metrics.csv").open() as file:
            expected = [(float(row["epoch"]), float(row["val/elbo"])) for row in csv.DictReader(file)]
        assert [(row["epoch"], row["val/elbo"]) for row in rows if "val/elbo" in row] == expected
        assert steps == sorted(set(steps)) == [row["step"] for row in rows]  # else its server mixes rows
        assert {f"{run}/config.yaml", f"{run}/wandb-summary.json", f"{run}/requirements.txt"} <= server.files
    assert "Skipped 3 synced run(s)" in sync()
