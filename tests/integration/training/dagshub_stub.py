"""A stub of DagsHub's REST interface on loopback: it records requests, and fails on request."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "tok-123"
FIRST = "b6cef088d32dbf25029cca669195d609e4a2cc5d"
ERROR = "server error"
NOBODY = {"name": "", "email": "", "username": ""}


class Dagshub(ThreadingHTTPServer):
    """One repository, me/al, with the branch main.

    Attributes:
        requests: what came: method, path, authorization, and the form's fields of an upload.
        files: contents by path in the repository.
        tip: the newest commit of main.
        fails: the status of every upload; 0 to take it.
        lost: uploads that are taken and whose answer is a 500.
        stalls: uploads are read and never answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tip = FIRST
        self.fails = self.lost = 0
        self.stalls = False
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def uploads(self) -> list[dict[str, Any]]:
        return [request for request in self.requests if request["method"] == "PUT"]


class _Handler(BaseHTTPRequestHandler):
    server: Dagshub

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._keep({})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._say(401, {"message": "unauthorized"})
        elif self.path == "/api/v1/repos/me/al":
            self._say(200, REPOSITORY)
        elif self.path == "/api/v1/repos/me/al/branches/main":
            self._say(200, {"name": "main", "commit": COMMIT | {"id": self.server.tip}})
        else:
            self._say(404, {"message": "not found"})

    def do_PUT(self) -> None:
        form = self._form()
        self._keep({name: value for name, (_, value) in form.items() if name != "files"})
        server = self.server
        if server.stalls:
            server.over.wait()
        elif server.fails:
            self._say(server.fails, {"error": ERROR, "details": "no more space"})
        else:
            self._take(form)

    def _take(self, form: dict[str, tuple[str, bytes]]) -> None:
        server = self.server
        folder = self.path.removeprefix("/api/v1/repos/me/al/content/main/").replace("%2F", "/")
        name, data = form["files"]
        path = f"{folder}/{name}"
        if path in server.files and form["last_commit"][1].decode() != server.tip:
            self._say(400, {"error": "missing last_commit", "details": f"{path} exists already"})
            return
        if server.files.get(path) != data:
            server.files[path] = data
            server.tip = hashlib.sha1(data + server.tip.encode()).hexdigest()
        if server.lost:
            server.lost -= 1
            self._say(500, {"error": "server error", "details": "gone"})
        else:
            self._say(200, {}, {"ETag": server.tip})

    def _form(self) -> dict[str, tuple[str, bytes]]:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts()
        return {
            str(part.get_param("name", header="content-disposition")): (  # type: ignore[misc]
                part.get_filename() or "",
                part.get_payload(decode=True),
            )
            for part in parts
        }

    def _keep(self, form: dict[str, bytes]) -> None:
        self.server.requests.append(
            {
                "method": self.command,
                "path": self.path,
                "authorization": self.headers["Authorization"],
                "form": {name: value.decode() for name, value in form.items()},
            }
        )

    def _say(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


COMMIT = {
    "message": "",
    "url": "",
    "author": NOBODY,
    "committer": NOBODY,
    "added": None,
    "removed": None,
    "modified": None,
    "timestamp": "2025-01-01T00:00:00Z",
}
REPOSITORY = {
    "id": 1,
    "owner": {
        "id": 1,
        "login": "me",
        "full_name": "",
        "avatar_url": "",
        "public_email": "",
        "website": "",
        "company": "",
        "description": "",
        "username": "me",
    },
    "name": "al",
    "full_name": "me/al",
    "description": "",
    "private": True,
    "fork": False,
    "parent": None,
    "empty": False,
    "mirror": False,
    "size": 0,
    "html_url": "",
    "ssh_url": "",
    "clone_url": "",
    "website": "",
    "stars_count": 0,
    "forks_count": 0,
    "watchers_count": 0,
    "open_issues_count": 0,
    "default_branch": "main",
    "created_at": "",
    "updated_at": "",
    "permissions": {"admin": True},
}
