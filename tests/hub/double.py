"""A Hugging Face Hub on this machine, with faults to order.

It answers what the real client asks. Reading: a repository's listing, an owner's list, HEAD and GET of a file
at a revision, a redirect of large files to another origin (localhost instead of 127.0.0.1), ranges, errors by
X-Error-Code. Writing: who the token is, create, preupload, LFS in one part and in several, commits
with their parent, tags. Private and gated repositories ask for a token that may read them.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".parquet")
LARGEST_REGULAR_BYTES = 5_000_000
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
        where: "info" (the listing), "file" (where a file lies), "content" (its bytes), or of publishing
            "whoami", "preupload", "batch", "upload", "commit" and "tag".
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
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    model_tags: tuple[str, ...] = ("lesionlens",)

    def point(self, revision: str) -> str:
        """Return the commit that a branch, tag or commit names."""
        return self.refs.get(revision) or self.tags.get(revision) or revision


@dataclass(frozen=True)
class Account:
    """Who a token belongs to, and what it may do."""

    name: str
    role: str = "write"
    may_write: tuple[str, ...] = ()

    def owns(self, repo: str) -> bool:
        """Whether the token may write to a repository."""
        return self.role == "write" and repo.partition("/")[0] in (self.name, *self.may_write)


def git_sha(content: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class HubDouble:
    """A Hub at `endpoint`, in a thread; a context manager.

    `accounts` says whose tokens these are; files of `multipart_above` bytes come in several parts.

    `requests` collects every request as "METHOD /path", `tokens` each path with its Authorization;
    `fault` is the fault on order; `left` is set when a client leaves a slow answer;
    setting `released` cuts what stalls.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.accounts: dict[str, Account] = {}
        self.multipart_above = 1 << 40
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.commit_lines: list[list[dict[str, object]]] = []
        self.received_bytes = 0
        self.requests: list[str] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.sent_bytes = 0
        self.fault: Fault | None = None
        self.closing = threading.Event()
        self.left = threading.Event()
        self.released = threading.Event()
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

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Return the files of a repository at a revision."""
        repository = self.repositories[repo]
        return repository.commits[repository.point(revision)]

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

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the parent's name
        """Say nothing: `requests` is the log."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        # A dataset repository differs in its addresses only.
        path = path.replace("/api/datasets/", "/api/models/", 1).removeprefix("/datasets")
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.tokens.append((path, self.headers.get("Authorization")))
        if path == "/api/whoami-v2":
            self._tell_who()
        elif path == "/api/models":
            self._list_all(parse_qs(urlsplit(self.path).query))
        elif refs := re.fullmatch(r"/api/models/([^/]+/[^/]+)/refs", path):
            self._list_refs(refs[1])
        elif listing := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
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
        account = self._account()
        if repository.private and (account is None or not self._may_read(account, repo)):
            self._refuse(*CODE_OF_STATUS["private"])
            return None
        sha = repository.point(revision)
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
        if self.hub.repositories[repo].gated and self._account() is None:
            self._refuse(*CODE_OF_STATUS["gated"])
            return
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

    def _account(self) -> Account | None:
        return self.hub.accounts.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _may_read(self, account: Account, repo: str) -> bool:
        return repo.partition("/")[0] in (account.name, *account.may_write)

    def _tell_who(self) -> None:
        if self._strike("whoami"):
            return
        if (account := self._account()) is None:
            self._send(401, b"Invalid username or password.", {})
            return
        token = {"displayName": "made by a test", "role": account.role}
        self._send_json({"name": account.name, "type": "user", "auth": {"accessToken": token}})

    def _list_all(self, query: dict[str, list[str]]) -> None:
        if self._strike("info"):
            return
        account = self._account()
        found = [
            {"id": repo, "private": one.private, "tags": list(one.model_tags)}
            for repo, one in self.hub.repositories.items()
            if repo.partition("/")[0] in query.get("author", [])
            and set(query.get("filter", [])) <= set(one.model_tags)
            and (not one.private or (account is not None and self._may_read(account, repo)))
        ]
        self._send_json(found)

    def _list_refs(self, repo: str) -> None:
        repository = self.hub.repositories[repo]
        listed = {
            kind: [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
                for name, sha in refs.items()
            ]
            for kind, refs in (("branches", repository.refs), ("tags", repository.tags))
        }
        self._send_json(listed | {"converts": []})

    def _take(self) -> None:
        """Answer a request that brings something."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        self.hub.tokens.append((path, self.headers.get("Authorization")))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.received_bytes += len(body)
        if path == "/api/validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif upload := re.fullmatch(r"/upload/([0-9a-f]{64})(?:/(\d+))?", path):
            self._store(upload[1], int(upload[2] or 0), body)
        elif done := re.fullmatch(r"/complete/([0-9a-f]{64})", path):
            numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
            self._keep(done[1], b"".join(self.hub.parts.pop((done[1], number)) for number in numbers))
        elif verify := re.fullmatch(r"/verify/([0-9a-f]{64})", path):
            self._send(200 if verify[1] in self.hub.objects else 404, b"", {})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        else:
            self._change(path, body)

    def _change(self, path: str, body: bytes) -> None:
        """Answer what only its owner may do to a repository."""
        kinds = {
            "preupload": (r"/api/models/([^/]+/[^/]+)/preupload/(.+)", self._preupload),
            "batch": (r"/([^/]+/[^/]+)\.git/info/lfs/objects/(batch)", self._batch),
            "commit": (r"/api/models/([^/]+/[^/]+)/commit/(.+)", self._commit),
            "tag": (r"/api/models/([^/]+/[^/]+)/tag/(.+)", self._tag),
        }
        for where, (pattern, answer) in kinds.items():
            if found := re.fullmatch(pattern, path):
                account = self._account()
                if account is None or not account.owns(found[1]):
                    self._send(403, b"Forbidden: you may not write here.", {})
                elif not self._strike(where):
                    answer(found[1], found[2], body)
                return
        self._refuse(*CODE_OF_STATUS["entry"])

    def _create(self, asked: dict[str, str]) -> None:
        account = self._account()
        repo = f"{asked.get('organization') or (account.name if account else '')}/{asked['name']}"
        if account is None or not account.owns(repo):
            self._send(403, b"Forbidden: you may not create here.", {})
        elif repo in self.hub.repositories:
            self._send_json({"error": "You already created this model repo"}, status=409)
        else:
            self.hub.commit(repo, {".gitattributes": b"*.safetensors filter=lfs"})
            self.hub.repositories[repo].private = asked.get("visibility") == "private"
            self._send_json({"url": f"{self.hub.endpoint}/{repo}"})

    def _preupload(self, repo: str, revision: str, body: bytes) -> None:
        files = self.hub.files(repo, revision)
        answers = []
        for asked in json.loads(body)["files"]:
            name = asked["path"]
            is_large = name.endswith(LFS_SUFFIXES) or asked["size"] > LARGEST_REGULAR_BYTES
            entry = {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
            if name in files:
                entry["oid"] = hashlib.sha256(files[name]).hexdigest() if is_large else git_sha(files[name])
            answers.append(entry)
        self._send_json({"files": answers})

    def _batch(self, _repo: str, _name: str, body: bytes) -> None:
        objects = []
        for asked in json.loads(body)["objects"]:
            entry = dict(asked)
            if asked["oid"] not in self.hub.objects:
                entry["actions"] = self._actions(asked["oid"], asked["size"])
            objects.append(entry)
        self._send_json({"transfer": "basic", "objects": objects})

    def _actions(self, oid: str, size: int) -> dict[str, object]:
        address, storage = self.hub.endpoint, self.hub.storage
        actions: dict[str, object] = {"verify": {"href": f"{address}/verify/{oid}"}}
        if size <= self.hub.multipart_above:
            return actions | {"upload": {"href": f"{storage}/upload/{oid}"}}
        chunk = -(-size // 3)
        parts = {
            str(number): f"{storage}/upload/{oid}/{number}" for number in range(1, -(-size // chunk) + 1)
        }
        header = parts | {"chunk_size": str(chunk)}
        return actions | {"upload": {"href": f"{address}/complete/{oid}", "header": header}}

    def _store(self, oid: str, number: int, body: bytes) -> None:
        if self._strike("upload"):
            return
        if number:
            self.hub.parts[oid, number] = body
            self._send(200, b"", {"ETag": f'"{number}"'})
        else:
            self._keep(oid, body)

    def _keep(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            self._send(400, b"the content has another sum", {})
            return
        self.hub.objects[oid] = content
        self._send(200, b"", {})

    def _commit(self, repo: str, branch: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        repository = self.hub.repositories[repo]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repository.refs[branch]):
            self._send(412, b"A commit has happened since. Please refresh and try again.", {})
            return
        self.hub.commit_lines.append(lines)
        files = dict(self.hub.files(repo, branch))
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                del files[value["path"]]
        sha = self.hub.commit(repo, files, branch=branch)
        self._send_json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.endpoint}/{repo}"})

    def _tag(self, repo: str, revision: str, body: bytes) -> None:
        repository = self.hub.repositories[repo]
        tag = json.loads(body)["tag"]
        if tag in repository.tags:
            self._send_json({"error": "Tag reference exists already"}, status=409)
            return
        repository.tags[tag] = repository.point(revision)
        self._send_json({})

    def _send_json(self, answer: object, *, status: int = 200) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

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
            for _ in range(600):
                if self.hub.closing.wait(0.05) or self.hub.released.is_set():
                    break
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
