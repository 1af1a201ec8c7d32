"""A file server on this machine with faults to order.

It knows ranges and conditions (Range, If-Range) as storages do. Behind `mirror` lies every host: the first
part of a path is the host that was meant.
"""

import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

WAIT_S = 30


@dataclass
class Fault:
    """What goes wrong.

    Attributes:
        kind: "stall" (half of it, then silence), "silent" (not a word), "cut" (half of it, then gone), "slow"
            (60 pieces in 3 s), "corrupt" (other bytes), "html" (a login page), "deaf" (ranges are ignored),
            "redirect" (to `to`), "status" (an error).
        times: only so often; None is always.
    """

    kind: str
    status: int = 0
    times: int | None = None
    to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    range: str | None
    condition: str | None
    token: str | None
    client: str | None
    body: bytes


class FileServer:
    """Serves `files` (path -> bytes) at `address`, in a thread; a context manager.

    `faults` maps a path, or "*" for all, to what goes wrong there. `asked` is every request so far;
    `headers` are added to every answer; `left` is set when a client leaves a slow answer.
    """

    def __init__(self, port: int = 0) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, Fault] = {}
        self.asked: list[Asked] = []
        self.headers: dict[str, str] = {}
        self.sent_bytes = 0
        self.closing = threading.Event()
        self.left = threading.Event()
        self.connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"files": self})
        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """The same server as another host."""
        return f"http://localhost:{self.port}"

    def add(self, address: str, content: bytes) -> None:
        """Put a file where a mirror has what lies at an address."""
        parts = urlsplit(address)
        self.files[f"/{parts.netloc}{unquote(parts.path)}"] = content

    def fault_at(self, path: str) -> Fault | None:
        """Return the fault that strikes here and now, counting it; None when all is well."""
        with self._lock:
            fault = self.faults.get(path) or self.faults.get("*")
            if fault is None or fault.times == 0:
                return None
            if fault.times is not None:
                fault.times -= 1
            return fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close it: from now on its connections are refused."""
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()
            for connection in tuple(self.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    files: FileServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.files.connections.add(self.connection)

    def finish(self) -> None:
        self.files.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
        """Say nothing: `asked` is the log."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, given = unquote(parts.path), self.headers
        body = self.rfile.read(int(given.get("Content-Length") or 0))
        self.files.asked.append(
            Asked(
                self.command,
                path,
                parts.query,
                given.get("Range"),
                given.get("If-Range"),
                given.get("Authorization"),
                given.get("User-Agent"),
                body,
            )
        )
        with contextlib.suppress(OSError):
            self._give(path, f"{path}?{parts.query}" if parts.query else path, self.files.fault_at(path))

    def _give(self, path: str, full: str, fault: Fault | None) -> None:
        content = self.files.files.get(full, self.files.files.get(path))
        kind = fault.kind if fault else ""
        if kind == "silent":
            self._hang()
        elif kind == "status" and fault:
            self._send(fault.status, b"a fault on order", dict(fault.headers))
        elif kind == "redirect" and fault:
            self._send(302, b"", {"Location": fault.to})
        elif kind == "html":
            page = b"<html>Welcome to the hotel's network</html>"
            self._send(200, page, {"Content-Type": "text/html; charset=utf-8"})
        elif content is None:
            self._send(404, b"not here", {})
        else:
            self._send_content(content, kind)

    def _send_content(self, content: bytes, kind: str) -> None:
        tag = f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}-2"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        current = self.headers.get("If-Range") in (None, (headers | self.files.headers).get("ETag"))
        if asked and current and kind != "deaf":
            start, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
        rest = content[start:]
        if kind == "corrupt":
            rest = bytes(byte ^ 255 for byte in rest)
        self._send_headers(status, len(rest), headers)
        if kind in ("cut", "stall"):
            self._write(rest[: len(rest) // 2])
            if kind == "stall":
                self._hang()
            else:
                self._hang_up()
        elif kind == "slow":
            self._drip(rest)
        else:
            self._write(rest)

    def _drip(self, content: bytes) -> None:
        piece = max(1, -(-len(content) // 60))
        try:
            for start in range(0, len(content), piece):
                self.files.closing.wait(0.05)
                self._write(content[start : start + piece])
        except OSError:
            self.files.left.set()
            self.close_connection = True

    def _hang(self) -> None:
        self.files.closing.wait(WAIT_S)
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._send_headers(status, len(body), headers)
        self._write(body)

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.files.sent_bytes += len(content)

    def _send_headers(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)  # without a Server of its own: some tests say which it is
        for name, value in (headers | self.files.headers | {"Content-Length": str(length)}).items():
            self.send_header(name, value)
        self.end_headers()
