"""A dataset appears whole or not at all, from every source that needs no account."""

import json
import threading

import pytest

from core.data.getting import ORIGIN_FILE, SOURCES, find, find_all, kept_bytes, partial_folder
from core.data.getting.remote import Remote
from core.data.readers import read_dataset
from core.errors import GettingError
from core.jobs import Cancelled
from tests.net.double import Fault
from tests.net.making import (
    DATAVERSE,
    DX_OF,
    PICTURES,
    fill_isic,
    kaggle_zip,
    metadata,
    picture,
    zip_of,
)

INPUT = "/isic-archive.s3.amazonaws.com/challenges/2018/ISIC2018_Task3_Training_Input.zip"


def refusal(get_it, *order, **options) -> str:
    with pytest.raises(GettingError) as caught:
        get_it(*order, **options)
    return str(caught.value)


@pytest.fixture
def dataverse(server, monkeypatch):
    """A mirror of the Dataverse with a tiny HAM10000; its sums are those of the tiny files."""
    from core.data.getting import ham10000

    names = list(PICTURES)
    files = {
        "4338392?format=original": metadata(),
        "3172585": zip_of({name: PICTURES[name] for name in names[:4]}),
        "3172584": zip_of({name: PICTURES[name] for name in names[4:]}),
        "3838943": zip_of({f"{name[:-4]}_segmentation.png": b"\x89PNG\r\n\x1a\n" for name in names}),
    }
    for name, content in files.items():
        server.files[f"/dataverse.harvard.edu/api/access/datafile/{name}"] = content

    def tiny(remote: Remote) -> Remote:
        content = files[remote.addresses[0].removeprefix(f"{DATAVERSE}/")]
        return Remote(remote.name, remote.addresses, len(content))

    monkeypatch.setattr(ham10000, "_TABLE", tiny(ham10000._TABLE))
    monkeypatch.setattr(ham10000, "_MASKS", tiny(ham10000._MASKS))
    monkeypatch.setattr(ham10000, "_PICTURES", tuple(map(tiny, ham10000._PICTURES)))
    return server


def test_the_dataverse_gives_everything_that_the_authors_deposited(dataverse, get_it, root):
    got = get_it("dataverse", extras=["masks"])
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF
    assert table["image_path"].notna().all()
    assert set(table["site"]) == {"back"}
    assert len(list(got.folder.rglob("*_segmentation.png"))) == 7
    assert [path.name for path in root.iterdir()] == ["ham10000"]


def test_the_masks_can_be_left(dataverse, get_it):
    get_it("dataverse")
    assert not [asked for asked in dataverse.asked if "3838943" in asked.path]


@pytest.mark.parametrize("name", ["_TABLE", "_MASKS", "_PICTURES"])
def test_the_dataverses_own_sums_are_compared(name, server, get_it):
    from core.data.getting import ham10000

    remotes = getattr(ham10000, name)
    for remote in remotes if isinstance(remotes, tuple) else (remotes,):
        assert remote.checksum.algorithm == "md5"
        assert len(remote.checksum.digest) == 32
        assert remote.size > 0
    server.files["/dataverse.harvard.edu/api/access/datafile/4338392?format=original"] = metadata()
    assert "HAM10000_metadata.csv arrived damaged" in refusal(get_it, "dataverse")


def test_nothing_is_asked_for_before_the_licence_is_accepted(server, get_it, root):
    fill_isic(server)
    message = refusal(get_it, "isic", accepted=False)
    assert "(ISIC archive) was not accepted" in message
    assert server.asked == []
    assert not root.exists()


def test_nothing_is_asked_for_when_the_disk_has_no_room(server, get_it):
    fill_isic(server)
    message = refusal(get_it, "isic", means={"room": lambda _: 3_000_000_000})
    assert all(words in message for words in ("3.0 GB free", "5.5 GB", "LESIONLENS_CACHE"))
    assert server.asked == []


def test_a_dataset_says_where_it_is_from(server, get_it, root):
    fill_isic(server)
    got = get_it("isic")
    assert find(root, "ham10000-isic") == got
    assert find_all(root) == (got,)
    assert (got.source, got.licence, got.name) == ("isic", "CC BY-NC 4.0", "ham10000-isic")
    assert json.loads((got.folder / ORIGIN_FILE).read_text())["n_images"] == 7


def test_a_dataset_that_is_here_is_not_asked_for_again(server, get_it):
    fill_isic(server)
    got = get_it("isic")
    server.asked.clear()
    assert get_it("isic", accepted=False) == got
    assert server.asked == []


def test_brought_anew_the_old_one_stays_until_the_new_one_is_whole(server, get_it, root):
    fill_isic(server)
    get_it("isic")
    server.faults["*"] = Fault("status", 404)
    refusal(get_it, "isic", again=True)
    assert find(root, "ham10000-isic") is not None
    assert len(read_dataset(root / "ham10000-isic")) == 7
    server.faults.clear()
    assert get_it("isic", again=True, extras=["facts"]).n_images == 7
    assert [path.name for path in root.iterdir()] == ["ham10000-isic"]


def test_a_folder_that_we_did_not_make_is_not_touched(server, get_it, root):
    (root / "ham10000-isic").mkdir(parents=True)
    (root / "ham10000-isic" / "mine.txt").write_text("mine")
    assert "was not brought by LesionLens" in refusal(get_it, "isic")
    assert find(root, "ham10000-isic") is None
    assert (root / "ham10000-isic" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65, "-x", "ü"])
def test_a_name_that_would_leave_the_folder_is_refused(name, get_it, root):
    if name:
        assert "is no name for a dataset" in refusal(get_it, "isic", name=name)
        assert not root.exists()
    assert find(root, name or "nothing") is None


def test_a_cut_connection_leaves_nothing_but_what_the_next_attempt_goes_on_with(server, get_it, root):
    fill_isic(server, padding=300_000)
    server.faults[INPUT] = Fault("cut")
    assert "was cut" in refusal(get_it, "isic")
    assert [path.name for path in root.iterdir()] == [".ham10000-isic.partial"]
    assert find_all(root) == ()
    assert kept_bytes(root, "ham10000-isic") > 100_000
    before = server.sent_bytes
    server.faults.clear()
    assert get_it("isic").n_pictures == 7
    assert server.sent_bytes - before < 200_000
    assert [path.name for path in root.iterdir()] == ["ham10000-isic"]


def test_who_cancels_can_go_on_later(server, get_it, root):
    fill_isic(server, padding=300_000)
    server.faults[INPUT] = Fault("slow")

    def report(done, total=None, **_):
        if done > 30_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        get_it("isic", report=report)
    assert find_all(root) == ()
    server.faults.clear()
    assert get_it("isic").n_pictures == 7


def test_who_cancels_while_it_unpacks_can_go_on_without_asking_again(server, get_it, root):
    fill_isic(server)

    def report(done, total=None, *, note="", **_):
        if "Unpacking ISIC2018_Task3_Training_Input" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        get_it("isic", report=report)
    assert not (partial_folder(root, "ham10000-isic") / "files").exists()
    server.asked.clear()
    assert get_it("isic").n_pictures == 7
    assert server.asked == []


def test_a_download_that_is_no_zip_is_thrown_away_and_comes_anew(server, get_it):
    fill_isic(server)
    whole = server.files[INPUT]
    server.files[INPUT] = whole[:-40]
    assert "no whole zip" in refusal(get_it, "isic")
    server.files[INPUT] = whole
    assert get_it("isic").n_pictures == 7


def test_a_dataset_that_cannot_be_read_does_not_appear_and_is_not_kept(server, get_it, root):
    fill_isic(server)
    folder = "/isic-archive.s3.amazonaws.com/challenges/2018/ISIC2018_Task3_Training_GroundTruth.zip"
    right = server.files[folder]
    server.files[folder] = zip_of(
        {"truth.csv": b"image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_1,1,1,0,0,0,0,0\n"}
    )
    message = refusal(get_it, "isic")
    assert "truth.csv, row 2" in message
    assert str(root) not in message
    assert find_all(root) == ()
    server.files[folder] = right
    assert get_it("isic").n_pictures == 7


def test_two_at_once_do_not_mix(server, get_it):
    fill_isic(server, padding=300_000)
    server.faults[INPUT] = Fault("slow")
    begun = threading.Event()
    got = []

    def report(done, total=None, **_):
        if done:
            begun.set()

    first = threading.Thread(target=lambda: got.append(get_it("isic", report=report)))
    first.start()
    assert begun.wait(20)
    assert "is being brought already" in refusal(get_it, "isic")
    first.join(60)
    assert got[0].n_pictures == 7


@pytest.mark.parametrize("layout", ["kaggle", "per class", "packed in folders"])
def test_a_zip_of_this_machine_becomes_a_dataset_and_stays(layout, get_it, tmp_path):
    per_class = {f"{dx}/{name}.jpg": PICTURES[f"{name}.jpg"] for name, dx in DX_OF.items()}
    packed = {f"lesions/v2/{name}": content for name, content in per_class.items()}
    files = {"per class": per_class, "packed in folders": packed}
    content = kaggle_zip() if layout == "kaggle" else zip_of(files[layout])
    archive = tmp_path / "My Lesions (1).zip"
    archive.write_bytes(content)
    got = get_it("zip", str(archive))
    assert (got.name, got.n_images, got.n_pictures) == ("my-lesions--1", 7, 7)
    assert archive.read_bytes() == content
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF


def test_a_bad_zip_of_this_machine_stays_too(get_it, tmp_path, root):
    archive = tmp_path / "set.zip"
    archive.write_bytes(zip_of({"../evil.jpg": picture(1)}))
    assert "outside" in refusal(get_it, "zip", str(archive))
    assert archive.exists()
    assert not list(tmp_path.rglob("evil.jpg"))


def make_folder(folder):
    (folder / "HAM10000_images_part_1").mkdir(parents=True)
    (folder / "ham10000_images_part_1").mkdir()
    (folder / "HAM10000_metadata.csv").write_bytes(metadata())
    for name, content in PICTURES.items():
        (folder / "HAM10000_images_part_1" / name).write_bytes(content)
        (folder / "ham10000_images_part_1" / name).write_bytes(content)
    return folder


def test_a_folder_of_this_machine_is_copied_without_its_twins_links_and_strangers(get_it, tmp_path):
    folder = make_folder(tmp_path / "stick")
    (folder / "notes.docx").write_bytes(b"x")
    (folder / "link.jpg").symlink_to("/etc/passwd")
    (folder / ".hidden.jpg").write_bytes(b"x")
    got = get_it("folder", str(folder))
    assert (got.name, got.n_images, got.n_pictures) == ("stick", 7, 7)
    names = sorted(path.name for path in got.folder.rglob("*") if path.is_file())
    assert names == sorted([*PICTURES, "HAM10000_metadata.csv", ORIGIN_FILE])
    said = " ".join(got.notes)
    assert all(
        words in said for words in ("twins of other files: 7", "links: 1", "neither picture nor table: 1")
    )
    assert len(list(folder.rglob("*.jpg"))) == 16


def test_twins_that_differ_are_refused_by_name(get_it, tmp_path):
    folder = make_folder(tmp_path / "stick")
    name = next(iter(PICTURES))
    (folder / "ham10000_images_part_1" / name).write_bytes(picture(200))
    message = refusal(get_it, "folder", str(folder))
    assert name in message
    assert "Keep the right one" in message


def test_a_file_that_cannot_be_read_is_not_taken_for_a_full_disk(get_it, tmp_path, root):
    folder = make_folder(tmp_path / "stick")
    gone = folder / "HAM10000_images_part_1" / next(iter(PICTURES))

    def pull_out(done, _total=None, *, note="", **_):
        if note == "Taking over stick" and not done:
            gone.unlink()

    message = refusal(get_it, "folder", str(folder), report=pull_out)
    assert (
        message
        == f"{gone} cannot be read: No such file or directory. Check that it is there, and its permissions."
    )
    assert find_all(root) == ()


def test_a_folder_needs_room_for_its_copy(get_it, tmp_path):
    folder = make_folder(tmp_path / "stick")
    assert "LESIONLENS_CACHE" in refusal(get_it, "folder", str(folder), means={"room": lambda _: 1000})


@pytest.mark.parametrize(
    ("source", "where", "words"),
    [
        ("zip", "", "path of a zip"),
        ("zip", "/nowhere/x.zip", "no file /nowhere/x.zip"),
        ("zip", "a\0b", "path of a zip"),
        ("folder", "", "path of a folder"),
        ("folder", "/nowhere", "no folder /nowhere"),
        ("folder", "/proc/self/fd", "holds no pictures"),
    ],
)
def test_what_is_not_there_is_named(source, where, words, get_it):
    assert words in refusal(get_it, source, where)


def test_a_folder_that_holds_the_place_of_its_copy_is_refused(get_it, tmp_path, root):
    make_folder(tmp_path / "a")
    root.mkdir()
    assert "Give the dataset's own folder" in refusal(get_it, "folder", str(tmp_path))


def test_a_cache_that_cannot_be_written_is_named(get_it, root):
    root.write_text("in the way")
    message = refusal(get_it, "isic")
    assert "could not be stored" in message
    assert "LESIONLENS_CACHE" in message


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_source_says_what_comes_under_which_licence_and_names_its_folder(source):
    from core.data.getting import Order

    assert source.title
    assert source.about.endswith(".")
    assert source.folder(Order(source.where.default if source.where else ""))
    if source.licence is not None:
        assert "Medical University of Vienna" in source.licence.credit
        assert source.licence.address.startswith("https://")
    else:
        assert source.where is not None
