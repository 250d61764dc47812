"""A small stand-in for a server, which counts how often its data folder was started on."""

from __future__ import annotations

from pathlib import Path

SERVER = """
import http.server, pathlib, sys, tempfile

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

tempfile.mkdtemp()
starts = pathlib.Path("starts")
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def running(root: Path) -> list[str]:
    """Return the processes whose working directory is in the checkout."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(root):
                pids.append((process / "cmdline").read_text())
        except OSError:
            continue
    return pids


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text())
