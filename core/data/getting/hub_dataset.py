"""A dataset repository of the Hugging Face Hub: pictures, tables and zips at one commit, nothing else."""

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import DatasetInfo, RepoSibling
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented, but not marked as exported
    build_hf_headers,
)

from core import net
from core.data.getting.order import Order
from core.data.getting.remote import Checksum, Remote, explain
from core.data.getting.unpacking import is_wanted
from core.data.getting.workplace import Workplace
from core.errors import GettingError, UnknownReference
from core.models.reference import check_repository, check_revision
from core.settings import settings

MAIN: Final = "main"
_NO_HUB_WORDS: Final = (
    "What answers at {address} is not a Hub. Check HF_ENDPOINT, and whether the network asks for a login "
    "first."
)


def fetch_hub(order: Order, place: Workplace) -> None:
    """Bring a dataset repository, named owner/name or owner/name@revision; HF_TOKEN where no token is given.

    Raises:
        GettingError: why the Hub did not give it, and what to do.
    """
    repo, _, revision = order.where.strip().partition("@")
    try:
        check_repository(repo)
        check_revision(revision or MAIN)
    except UnknownReference as problem:
        raise GettingError(str(problem)) from problem
    # False: None would make the client look for the token that somebody logged in with.
    token = order.key or (settings().hub_token if order.stored_key else False)
    info = _ask(repo, revision or MAIN, token, place)
    siblings = [file for file in info.siblings or [] if _is_wanted(file.rfilename)]
    if not siblings:
        raise GettingError(
            f"{repo} holds no pictures, tables or zips (files such as {_some(info.siblings or [])}). Choose "
            "a dataset repository with HAM10000's or another layout known here as plain files or zips."
        )
    remotes = [_remote(number, file, repo, info, token) for number, file in enumerate(siblings)]
    total = sum(remote.size or 0 for remote in remotes)
    fetched = list(zip(siblings, place.download(remotes, unpacked=total), strict=True))
    archives = [(file.rfilename, path) for file, path in fetched if _is_zip(file.rfilename)]
    plain = [(path, file.rfilename) for file, path in fetched if not _is_zip(file.rfilename)]
    place.take_over(plain, origin=repo, link=True)
    for name, path in archives:
        archive = path.with_name(PurePosixPath(name).name)
        path.rename(archive)  # messages name it as its repository does
        try:
            place.unpack(archive, into=name[: -len(".zip")])
        finally:
            if archive.exists():
                archive.rename(path)
    place.notes.append(f"{repo} at commit {info.sha}.")


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    # A path of a repository is data too: none may lead out of the folder.
    plain = not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name
    hidden = any(part.startswith(".") for part in path.parts)
    return plain and not hidden and (is_wanted(name) or _is_zip(name))


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _some(files: Iterable[RepoSibling]) -> str:
    return ", ".join([file.rfilename for file in files][:3]) or "none"


def _ask(repo: str, revision: str, token: str | bool | None, place: Workplace) -> DatasetInfo:
    """Return what a repository holds at a revision."""
    line = place.line
    place.report(0, note=f"Asking the Hub for {repo}")
    try:
        info = net.bounded(
            lambda: HfApi(token=token).dataset_info(
                repo, revision=revision, timeout=line.silence_s, files_metadata=True
            ),
            silence_s=line.silence_s + 1,
        )
    except OfflineModeIsEnabled as problem:
        raise GettingError(f"Offline mode is on (HF_HUB_OFFLINE). Unset it to get {repo}.") from problem
    except HfHubHTTPError as problem:
        raise GettingError(_refusal(problem, repo, revision)) from problem
    except (OSError, httpx2.HTTPError) as problem:
        raise GettingError(explain(problem, repo, constants.ENDPOINT, line)) from problem
    except json.JSONDecodeError as problem:
        raise GettingError(_NO_HUB_WORDS.format(address=constants.ENDPOINT)) from problem
    if not info.sha:
        raise GettingError(_NO_HUB_WORDS.format(address=constants.ENDPOINT))
    return info


def _refusal(problem: HfHubHTTPError, repo: str, revision: str) -> str:
    status = problem.response.status_code
    page = f"{constants.ENDPOINT}/datasets/{repo}"
    words = {
        401: f"The Hub has no dataset {repo}, or it is private (status 401). Check the name, or give a token "
        "that may read it.",
        403: f"{repo} is gated (status 403). Accept its terms at {page}, and give a token of that account.",
        404: f"The Hub has no dataset {repo} at {revision} (status 404). Check owner, name and revision.",
        429: "The Hub asks for a pause (status 429: too many requests). Wait a few minutes, or give a token.",
    }
    fault = f"The Hub has a fault (status {status}) and did not list {repo}. Try again later."
    refused = f"The Hub refused {repo} (status {status}). Get the dataset from another source."
    return words.get(status, fault if status >= 500 else refused)


def _remote(number: int, file: RepoSibling, repo: str, info: DatasetInfo, token: str | bool | None) -> Remote:
    """Return how to fetch one file at the commit; it is kept under a number, as folders repeat names."""
    checksum = None
    if file.lfs is not None:
        checksum = Checksum("sha256", file.lfs.sha256)
    elif file.blob_id:
        checksum = Checksum("git", file.blob_id)
    return Remote(
        f"{info.sha}-{number:06}{PurePosixPath(file.rfilename).suffix.lower()}",
        (hf_hub_url(repo, file.rfilename, repo_type="dataset", revision=info.sha),),
        file.size,
        checksum,
        build_hf_headers(token=token),
    )
