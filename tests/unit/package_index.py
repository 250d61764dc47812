"""A package registry on this machine: pip's simple index over HTTP, with the faults that a test asks for."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def wheel_file(name: str, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Return the name and the content of a wheel of version 0.1.0."""
    info = f"{name}-0.1.0.dist-info"
    content = {
        **files,
        f"{info}/LICENSE": b"Apache Software License 2.0\n\nCopyright (c) 2020, Somebody\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return f"{name}-0.1.0-py3-none-any.whl", file.getvalue()


@dataclass
class Index:
    """The content of the registry, and the paths that were requested.

    Attributes:
        files: content by name.
        cut: the number of bytes after which every file ends; 0 for none.
        url: of the index; empty while it does not run.
        paths: as requested, in order.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: int = 0
    url: str = ""
    paths: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the settings by which pip takes this index and nothing else."""
        nothing = dict.fromkeys(("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "HTTP_PROXY"), "")
        return nothing | {"PIP_INDEX_URL": self.url, "PIP_CONFIG_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"}

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return the type and the content of a path."""
        self.paths.append(path)
        name = path.rstrip("/").rsplit("/", 1)[-1]
        if path.startswith("/files/") and name in self.files:
            return "application/zip", self.files[name]
        names = [file for file in self.files if file.split("-")[0].replace("_", "-") == name]
        links = "".join(
            f'<a href="/files/{file}#sha256={hashlib.sha256(self.files[file]).hexdigest()}">{file}</a>'
            for file in names
        )
        return ("text/html", links.encode()) if names else None


@contextmanager
def running(index: Index) -> Iterator[Index]:
    """Serve an index."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = index.answer(self.path)
            if answer is None:
                self.send_error(404)
                return
            kind, content = answer
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: index.cut] if index.cut and kind != "text/html" else content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
