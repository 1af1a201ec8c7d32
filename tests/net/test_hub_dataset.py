"""Datasets from the Hub: what is on the list comes, at one commit, with the sums that the Hub lists."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from core.data.getting import kept_bytes, workplace
from core.data.readers import read_dataset
from core.errors import GettingError
from core.jobs import Cancelled
from tests.hub.double import Fault, HubDouble
from tests.net.making import DX_OF, PICTURES, metadata, zip_of

REPO = "clinic/lesions"
FILES = {"data/HAM10000_metadata.csv": metadata(), "README.md": b"# A card", ".gitattributes": b"*"} | {
    f"data/images/{name}": content for name, content in PICTURES.items()
}


@pytest.fixture
def hub(monkeypatch):
    """A Hub that the client takes for the only one."""
    with HubDouble() as double:
        monkeypatch.setattr(constants, "ENDPOINT", double.endpoint)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            double.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield double


@pytest.fixture
def get_hub(get_it):
    """Return a function that gets REPO without a mirror."""

    def get_hub(where=REPO, **options):
        return get_it("hub", where, mirror=None, **options)

    return get_hub


def refusal(get_hub, *order, **options) -> str:
    with pytest.raises(GettingError) as caught:
        get_hub(*order, **options)
    return str(caught.value)


def test_plain_files_become_a_dataset_pinned_to_its_commit(hub, get_hub):
    commit = hub.commit(REPO, FILES)
    got = get_hub()
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF
    assert (got.name, got.n_pictures) == ("clinic--lesions", 7)
    assert f"at commit {commit}" in " ".join(got.notes)
    assert (got.folder / "data/images/ISIC_0000001.jpg").read_bytes() == PICTURES["ISIC_0000001.jpg"]


@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
def test_taking_over_what_came_tells_the_bytes(hub, get_hub, reports, monkeypatch, links):
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
        monkeypatch.setattr(workplace, "_BLOCK_BYTES", 100)
    hub.commit(REPO, FILES)
    assert get_hub().n_pictures == 7
    told = [(done, total) for done, total, unit, note in reports if note == f"Taking over {REPO}"]
    size = sum(len(FILES[name]) for name in FILES if name != ".gitattributes")
    assert (told[0], told[-1]) == ((0, size), (size, size))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    # A large file tells more than once where it has to be copied.
    assert (len(told) > 2 * len(FILES)) is not links


def test_taking_over_what_came_can_be_cancelled_and_keeps_the_downloads(hub, get_hub, root):
    def stop(done, _total=None, *, unit="", note=""):
        if note.startswith("Taking over") and done:
            raise Cancelled

    hub.commit(REPO, FILES)
    with pytest.raises(Cancelled):
        get_hub(report=stop)
    assert kept_bytes(root, "clinic--lesions") > 0
    assert [path.name for path in root.iterdir()] == [".clinic--lesions.partial"]
    hub.requests.clear()
    assert get_hub().n_pictures == 7
    assert not [request for request in hub.requests if request.endswith(".jpg")]


def no_links(path: Path, target: Path) -> None:
    raise OSError(f"{path} cannot be {target}")


def test_zips_are_unpacked(hub, get_hub):
    hub.commit(REPO, {"HAM10000_metadata.csv": metadata(), "pictures/all.zip": zip_of(PICTURES)})
    got = get_hub()
    assert got.n_pictures == 7
    assert (got.folder / "pictures/all/ISIC_0000001.jpg").is_file()


def test_nothing_but_pictures_tables_zips_and_papers_is_asked_for(hub, get_hub):
    others = [
        "model.safetensors",
        "run.py",
        "data.pkl",
        "train.parquet",
        "../evil.jpg",
        "a/../../b.jpg",
        "c\\d.jpg",
    ]
    hub.commit(REPO, FILES | dict.fromkeys(others, b"danger"))
    get_hub()
    assert not [request for request in hub.requests if any(request.endswith(name) for name in others)]
    assert not [request for request in hub.requests if "gitattributes" in request]


def test_files_of_one_name_in_two_folders_do_not_mix(hub, get_hub):
    per_class = {
        f"{dx}/picture.{number}.jpg": content
        for number, (dx, content) in enumerate(zip(DX_OF.values(), PICTURES.values(), strict=True))
    }
    twice = {f"mask/{name.partition('/')[2]}".replace("mask", "README"): b"#" for name in ("a/x", "b/x")}
    hub.commit(REPO, per_class | {"mel/README.md": b"one", "nv/README.md": b"two"} | twice)
    got = get_hub()
    assert got.n_pictures == 7
    assert (got.folder / "mel/README.md").read_bytes() == b"one"
    assert (got.folder / "nv/README.md").read_bytes() == b"two"


def test_a_token_is_sent_and_never_written(hub, get_hub, root):
    hub.commit(REPO, FILES)
    get_hub(key="hf_secret")
    assert {token for _, token in hub.tokens} == {"Bearer hf_secret"}
    assert not [path for path in root.rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]


def test_a_revision_is_asked_for(hub, get_hub):
    hub.commit(REPO, FILES, branch="v1")
    hub.commit(REPO, {"README.md": b"emptied"})
    assert get_hub(f"{REPO}@v1").n_pictures == 7


REFUSALS = {
    "missing": (Fault("info", kind="missing"), ["no dataset clinic/lesions", "404"]),
    "private": (Fault("info", kind="private"), ["private", "401", "token"]),
    "gated": (Fault("info", kind="gated"), ["gated", "403", "Accept its terms at"]),
    "too many": (Fault("info", status=429), ["429", "Wait"]),
    "broken": (Fault("info", status=500), ["has a fault", "500"]),
    "silent": (Fault("info", kind="stall"), ["no sign of life for 1 s"]),
    "login": (Fault("info", kind="html"), ["not a Hub", "login"]),
    "gated file": (Fault("file", kind="gated"), ["403", "licence"]),
    "silent file": (Fault("content", kind="stall"), ["no sign of life for 1 s", "is kept"]),
    "damaged file": (Fault("content", kind="corrupt"), ["arrived damaged", "thrown away"]),
    "cut file": (Fault("content", kind="cut"), ["was cut", "is kept"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_failure_names_its_cause_and_its_cure_and_the_next_attempt_is_whole(case, hub, get_hub):
    hub.commit(REPO, FILES)
    hub.fault, expected = REFUSALS[case]
    message = refusal(get_hub, silence_s=1.0)
    assert [words for words in expected if words not in message] == [], message
    hub.fault = None
    assert get_hub().n_pictures == 7


def test_files_that_came_are_not_asked_for_again(hub, get_hub, root):
    hub.commit(REPO, FILES)
    last = "data/images/ISIC_0000007.jpg"
    hub.fault = Fault("content", status=404, name=last)
    refusal(get_hub)
    assert kept_bytes(root, "clinic--lesions") > 0
    hub.fault = None
    hub.requests.clear()
    get_hub()
    assert [request for request in hub.requests if "resolve" in request] == [
        next(request for request in hub.requests if request.endswith(last))
    ]


@pytest.mark.parametrize("files", [{"README.md": b"#"}, {"train.parquet": b"PAR1"}])
def test_a_repository_without_pictures_or_tables_says_so(files, hub, get_hub):
    hub.commit(REPO, files)
    message = refusal(get_hub)
    assert "holds no pictures" in message or "no dataset" in message


@pytest.mark.parametrize("where", ["lesions", "a/b/c", "../b", "", "a/b@../../etc"])
def test_what_cannot_be_a_repository_is_refused_before_the_hub_is_asked(where, hub, get_hub):
    refusal(get_hub, where)
    assert hub.requests == []


def test_offline_mode_is_told(hub, get_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(get_hub)


def test_a_hub_that_is_gone_is_told(hub, get_hub):
    hub.stop()
    assert "cannot be reached" in refusal(get_hub)
