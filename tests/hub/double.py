"""A Hugging Face Hub on this machine, as far as downloading goes, with faults to order.

It answers what the real client asks: a repository's listing, HEAD and GET of a file at a revision, a redirect
of large files to another origin (localhost instead of 127.0.0.1), ranges, and errors by X-Error-Code.
"""

import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin")
CODE_OF_STATUS = {
    "missing": (404, "RepoNotFound", "Repository not found"),
    "private": (401, "RepoNotFound", "Invalid username or password."),
    "gated": (403, "GatedRepo", "Access to model is restricted."),
    "revision": (404, "RevisionNotFound", "Invalid rev id"),
    "entry": (404, "EntryNotFound", "Entry not found"),
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and where.

    Attributes:
        where: "info" (the listing), "file" (where a file lies) or "content" (its bytes).
        status: answer with this HTTP status.
        kind: instead of a status: "stall" (say nothing more), "cut" (close half-way), "slow" (60 pieces in
            3 s), "corrupt" (other bytes), "html" (a login page), or a key of CODE_OF_STATUS.
        name: only for this file.
        times: only so often; None is always.
    """

    where: str
    status: int | None = None
    kind: str = ""
    name: str | None = None
    times: int | None = None


@dataclass
class Repository:
    """One model repository: its commits, and where its branches and tags point."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


def git_sha(content: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class HubDouble:
    """A Hub at `endpoint`, in a thread; a context manager.

    `requests` collects every request as "METHOD /path", `tokens` each path with its Authorization;
    `fault` is the fault on order; `left` is set when a client leaves a slow answer.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.sent_bytes = 0
        self.fault: Fault | None = None
        self.closing = threading.Event()
        self.left = threading.Event()
        self.connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def endpoint(self) -> str:
        """Where the Hub's own answers come from."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        """Where large files come from: to a client this is another origin."""
        return f"http://localhost:{self.port}"

    def commit(self, repo: str, files: dict[str, bytes], *, branch: str = "main") -> str:
        """Add a commit to a repository, made if needed, and return its 40 digits."""
        repository = self.repositories.setdefault(repo, Repository())
        salt = f"{repo}{len(repository.commits)}".encode()
        sha = hashlib.sha1(salt, usedforsecurity=False).hexdigest()
        repository.commits[sha] = dict(files)
        repository.refs[branch] = sha
        return sha

    def order(self, where: str, *, name: str | None = None) -> Fault | None:
        """Return the fault that strikes here and now, counting it; None when all is well."""
        with self._lock:
            fault = self.fault
            if fault is None or fault.where != where or fault.name not in (None, name) or fault.times == 0:
                return None
            if fault.times is not None:
                self.fault = Fault(fault.where, fault.status, fault.kind, fault.name, fault.times - 1)
            return fault

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the Hub: from now on its connections are refused."""
        if not self.closing.is_set():
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()
            for connection in tuple(self.connections):  # clients keep them open for the next request
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubDouble
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.add(self.connection)

    def finish(self) -> None:
        self.hub.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
        """Say nothing: `requests` is the log."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        # A dataset repository differs in its addresses only.
        path = path.replace("/api/datasets/", "/api/models/", 1).removeprefix("/datasets")
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.tokens.append((path, self.headers.get("Authorization")))
        if listing := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._list(listing[1], listing[2] or "main")
        elif file := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(file[1], file[2], file[3])
        elif stored := re.fullmatch(r"/storage/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
            content = self.hub.repositories[stored[1]].commits[stored[2]][stored[3]]
            self._send_content(stored[3], content, {})
        else:
            self._refuse(*CODE_OF_STATUS["entry"])

    def _find(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the commit and its files, or refuse."""
        repository = self.hub.repositories.get(repo)
        if repository is None:
            self._refuse(*CODE_OF_STATUS["missing"])
            return None
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self._refuse(*CODE_OF_STATUS["revision"])
            return None
        return sha, repository.commits[sha]

    def _list(self, repo: str, revision: str) -> None:
        if self._strike("info") or (found := self._find(repo, revision)) is None:
            return
        sha, files = found
        siblings = []
        for name, content in files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_sha(content)}
            if name.endswith(LFS_SUFFIXES):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        body = json.dumps({"id": repo, "sha": sha, "siblings": siblings, "private": False}).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if self._strike("file", name):
            return
        if (found := self._find(repo, revision)) is None:
            return
        sha, files = found
        if name not in files:
            self._refuse(*CODE_OF_STATUS["entry"], {"X-Repo-Commit": sha})
            return
        content = files[name]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{git_sha(content)}"'}
        if name.endswith(LFS_SUFFIXES):
            digest = hashlib.sha256(content).hexdigest()
            location = f"{self.hub.storage}/storage/{repo}/{sha}/{name}"
            linked = {
                "X-Linked-Etag": f'"{digest}"',
                "X-Linked-Size": str(len(content)),
                "Location": location,
            }
            self._send(302, b"", headers | linked)
        else:
            self._send_content(name, content, headers)

    def _send_content(self, name: str, content: bytes, headers: dict[str, str]) -> None:
        start = 0
        status = 200
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start, status = int(asked[1]), 206
            headers = headers | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        if self.command == "GET" and self._strike("content", name, content[start:], headers):
            return
        self._send(status, content[start:], headers)

    def _strike(
        self, where: str, name: str | None = None, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> bool:
        """Let the fault on order happen; False when there is none here."""
        fault = self.hub.order(where, name=name)
        if fault is None:
            return False
        if fault.status is not None:
            self._send(fault.status, b"a fault on order", {"Retry-After": "17"})
        elif fault.kind in CODE_OF_STATUS:
            self._refuse(*CODE_OF_STATUS[fault.kind])
        elif fault.kind == "html":
            self._send(200, b"<html>Welcome to the hotel's network</html>", {"Content-Type": "text/html"})
        elif fault.kind == "corrupt":
            self._send(200, bytes(byte ^ 255 for byte in content), headers or {})
        elif fault.kind == "slow":
            self._drip(content, headers or {})
        else:
            self._break(fault.kind, content, headers or {})
        return True

    def _drip(self, content: bytes, headers: dict[str, str]) -> None:
        self._send_headers(200, len(content), headers)
        piece = -(-len(content) // 60)
        try:
            for start in range(0, len(content), piece):
                self.hub.closing.wait(0.05)
                self._write(content[start : start + piece])
        except OSError:  # the client has left
            self.hub.left.set()
            self.close_connection = True

    def _break(self, kind: str, content: bytes, headers: dict[str, str]) -> None:
        """Send half of the content, then wait for the end ("stall") or close the connection ("cut")."""
        if content:
            self._send_headers(206 if "Content-Range" in headers else 200, len(content), headers)
            self._write(content[: len(content) // 2])
        if kind == "stall":
            self.hub.closing.wait(30)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._send_headers(status, len(body), headers)
        if self.command != "HEAD":
            self._write(body)

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.hub.sent_bytes += len(content)

    def _send_headers(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(length)}).items():
            self.send_header(name, value)
        self.end_headers()
