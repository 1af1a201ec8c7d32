"""What lies in the cache: listed, removed, carried to a machine without network; and what is newer."""

import shutil

import pytest

from core.errors import HubError, UnknownReference
from core.models import kept
from core.models.catalog import owner_catalog, owner_file
from core.models.hub.access import Access
from core.models.hub.owner import latest, list_owner
from core.models.hub.pulling import pull
from core.models.reference import Reference
from core.settings import settings
from tests.hub.double import Account, Fault

REPO = "clinic/lesions"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights" * 100,
    "lesionlens.json": b"{}",
    "README.md": b"# A card",
}


@pytest.fixture
def access(hub, tmp_path):
    hub.accounts = {"hf_member": Account("anna", role="read", may_write=("clinic",))}
    return Access(None, 2.0, tmp_path / "cache", hub.endpoint)


def test_what_was_pulled_is_listed_with_its_size_and_its_branch(hub, access):
    old = hub.commit(REPO, FILES)
    pull(REPO, access=access)
    new = hub.commit(REPO, FILES | {"README.md": b"# Another"})
    pull(REPO, access=access)
    found = {one.commit: one for one in kept.all_kept(access.cache_dir)}
    assert set(found) == {old, new}
    assert (found[new].branches, found[old].branches) == (("main",), ())
    assert found[old].n_bytes == sum(map(len, FILES.values()))
    assert all(one.is_checkpoint and not one.has_evaluation for one in found.values())
    assert kept.pin(Reference("hf", REPO), access.cache_dir) == found[new].reference


def test_what_is_removed_is_gone_and_the_rest_stays(hub, access):
    old = hub.commit(REPO, FILES)
    pull(REPO, access=access)
    new = hub.commit(REPO, FILES | {"README.md": b"# Another"})
    pull(REPO, access=access)
    kept.remove(next(one for one in kept.all_kept(access.cache_dir) if one.commit == new))
    (left,) = kept.all_kept(access.cache_dir)
    assert left.commit == old
    assert kept.pin(Reference("hf", REPO), access.cache_dir) is None
    kept.remove(left)
    assert kept.all_kept(access.cache_dir) == []
    assert not access.storage(REPO).exists()


def test_blobs_of_the_hubs_own_client_go_with_the_last_that_needs_them(tmp_path):
    storage = kept.storage_of(REPO, tmp_path)
    (storage / "blobs").mkdir(parents=True)
    for blob in ("shared", "own"):
        (storage / "blobs" / blob).write_bytes(b"x" * 10)
    for commit, blobs in (("a" * 40, ("shared", "own")), ("b" * 40, ("shared",))):
        snapshot = storage / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for blob in blobs:
            (snapshot / f"{blob}.safetensors").symlink_to(storage / "blobs" / blob)
    kept.remove(next(one for one in kept.all_kept(tmp_path) if one.commit == "a" * 40))
    assert [path.name for path in (storage / "blobs").iterdir()] == ["shared"]


def test_a_cache_that_cannot_be_changed_is_told(hub, access, monkeypatch):
    hub.commit(REPO, FILES)
    pull(REPO, access=access)
    (one,) = kept.all_kept(access.cache_dir)
    shutil.rmtree(one.folder)
    with pytest.raises(HubError, match=r"clinic/lesions could not be removed from .*delete it by hand"):
        kept.remove(one)


def test_a_copied_cache_folder_is_all_that_a_machine_without_a_network_needs(hub, access, tmp_path):
    commit = hub.commit(REPO, FILES)
    pull(REPO, access=access)
    hub.stop()
    shutil.copytree(access.cache_dir, tmp_path / "carried")
    there = Access(None, 1.0, tmp_path / "carried", hub.endpoint)
    assert pull(REPO, commit, there).notice is None
    by_branch = pull(REPO, access=there)
    assert by_branch.commit == commit
    assert "cannot be reached" in by_branch.notice
    assert {path.name for path in by_branch.folder.iterdir()} == set(FILES)
    assert by_branch.folder.is_relative_to(tmp_path / "carried")


def test_a_disk_that_is_too_small_is_told_before_anything_comes(hub, access):
    hub.commit(REPO, FILES)
    with pytest.raises(HubError, match=r"has 0\.0 MB free; clinic/lesions needs .*LESIONLENS_CACHE"):
        pull(REPO, access=access, room=lambda _: 1000)
    assert not [request for request in hub.requests if "resolve" in request]


def test_the_newest_commit_is_told_and_so_is_what_cannot_be(hub, access):
    hub.commit(REPO, FILES)
    newest = hub.commit(REPO, FILES)
    found = latest([REPO, REPO, "clinic/gone"], access)
    assert found[REPO].commit == newest
    assert found["clinic/gone"].commit is None
    assert "no model clinic/gone" in found["clinic/gone"].problem
    assert len(hub.requests) == 2


def test_an_owners_list_is_kept_as_a_catalog(hub, access):
    for repo in (REPO, "clinic/secret", "clinic/cats", "other/lesions"):
        hub.commit(repo, FILES)
    hub.repositories["clinic/secret"].private = True
    hub.repositories["clinic/cats"].model_tags = ("cats",)
    assert [str(one.reference) for one in list_owner("clinic", access)] == [f"hf:{REPO}"]
    member = Access("hf_member", 2.0, access.cache_dir, hub.endpoint)
    listed = list_owner("clinic", member)
    assert [str(one.reference) for one in listed] == [f"hf:{REPO}", "hf:clinic/secret"]
    assert listed[1].about.startswith("Private")
    hub.stop()
    assert owner_catalog("clinic", access.cache_dir) == listed
    with pytest.raises(HubError, match="cannot be reached"):
        list_owner("clinic", access)
    assert owner_catalog("clinic", access.cache_dir) == listed


def test_an_owner_who_was_never_asked_offers_nothing_and_a_broken_list_is_named(tmp_path):
    assert owner_catalog("clinic", tmp_path) == ()
    owner_file("clinic", tmp_path).write_text("[[checkpoint]]\nreference = 'nowhere'")
    with pytest.raises(HubError, match=r"Delete .*catalog-clinic\.toml and ask"):
        owner_catalog("clinic", tmp_path)
    with pytest.raises(UnknownReference):
        owner_file("../clinic", tmp_path)


@pytest.mark.parametrize("fault", [Fault("info", status=503), Fault("info", kind="stall")])
def test_an_owners_list_that_does_not_come_is_told(fault, hub, access):
    hub.fault = fault
    with pytest.raises(HubError, match=r"has a fault|no answer"):
        list_owner("clinic", Access(None, 0.5, access.cache_dir, hub.endpoint))


def test_what_the_settings_say_is_used():
    access = Access.of_settings()
    assert access.cache_dir == settings().cache_dir / "hub"
    assert access.timeout_s == settings().hub_timeout_s
    assert "token" not in repr(access)
