import threading
import time
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vae_cli.datasets.files import fetch, locked, obtain, store, within
from vae_cli.errors import UserError

CONTENT = b"a file" * 1000
DIGEST = md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if "missing" in self.path else 200)
        self.end_headers()
        self.wfile.write(CONTENT[:-1] if "short" in self.path else CONTENT)

    def log_message(self, format, *args):
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_the_first_source_that_serves_the_right_file_is_taken(server, tmp_path):
    path = tmp_path / "folder" / "file"
    fetch(path, [f"{server}/missing", f"{server}/short", "http://127.0.0.1:9/closed", f"{server}/file"], DIGEST)
    assert path.read_bytes() == CONTENT and [p.name for p in path.parent.iterdir()] == ["file"]


def test_no_source_left_is_one_line_that_names_the_place(server, tmp_path):
    with pytest.raises(UserError, match=r"by hand as .*file$") as caught:
        fetch(tmp_path / "file", [f"{server}/missing", f"{server}/short", "http://127.0.0.1:9/closed"], DIGEST)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_not_replaced(server, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"the user's own")
    with pytest.raises(UserError, match="damaged"):
        obtain(path, [f"{server}/file"], DIGEST)
    assert path.read_bytes() == b"the user's own"


def test_a_call_that_hangs_is_given_up():
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(1))
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(UserError, match="target"):
        store(tmp_path / "target", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"dataset\.root"), locked(tmp_path / "file" / "folder"):
        pass


def test_who_waits_is_told(tmp_path, capsys):
    entered = threading.Event()

    def hold():
        with locked(tmp_path):
            entered.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with locked(tmp_path):
        pass
    thread.join()
    assert "waiting for another process" in capsys.readouterr().out
