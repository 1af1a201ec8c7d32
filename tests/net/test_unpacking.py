"""Zips: what is good comes out as it was, what could do harm is refused by name, and nothing is written."""

import io
import stat
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.getting import unpacking
from core.data.getting.unpacking import BadZip, unpack, unpacked_bytes
from core.jobs import Cancelled
from tests.net.making import PICTURES, kaggle_zip, metadata, picture, zip_of

GOOD = {"HAM10000_metadata.csv": metadata(), "part_1/a.jpg": picture(1), "part_2/deep/b.JPG": picture(2)}


def quiet(done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
    """Report to nobody."""


@pytest.fixture
def unpack_it(tmp_path):
    """Return a function that unpacks the bytes of a zip."""

    def unpack_it(content: bytes, *, report=quiet):
        archive = tmp_path / "pictures.zip"
        archive.write_bytes(content)
        return unpack(archive, tmp_path / "files" / "set", report=report)

    return unpack_it


def refusal(unpack_it, tmp_path, content: bytes) -> str:
    """Return why a zip is refused; nothing of it may have been written, inside or outside."""
    with pytest.raises(BadZip) as caught:
        unpack_it(content)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["pictures.zip"]
    return str(caught.value)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stored", [True, False])
def test_a_good_zip_comes_out_as_it_was(stored, unpack_it, tmp_path):
    unpacked = unpack_it(zip_of(GOOD, stored=stored))
    assert tree(tmp_path / "files/set") == GOOD
    assert (unpacked.files, unpacked.left_out) == (3, {})
    assert unpacked_bytes(tmp_path / "pictures.zip") == sum(map(len, GOOD.values()))


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "//a.jpg", "C:/a.jpg", "c:a.jpg", "a/..", "..", "a:b.jpg"],
)
def test_a_member_that_would_leave_the_folder_is_refused_by_name(name, unpack_it, tmp_path):
    message = refusal(unpack_it, tmp_path, zip_of(GOOD | {name: picture(3)}))
    assert all(words in message for words in ("pictures.zip", repr(name), "outside", "from its source"))


@pytest.mark.parametrize("name", ["a\\..\\b.jpg", "a\nb.jpg", "a\x7f.jpg"])
def test_a_name_that_no_file_should_have_is_refused(name, unpack_it, tmp_path):
    assert "characters that no file name should have" in refusal(
        unpack_it, tmp_path, zip_of({name: picture(3)})
    )


@pytest.mark.parametrize("name", [b"a\0../b.jpg", b"\0X../b.jpg"])
def test_a_name_that_ends_early_is_refused(name, unpack_it, tmp_path):
    content = zip_of({"aX../b.jpg": picture(3)}).replace(b"aX../b.jpg", name)
    assert "characters that no file name should have" in refusal(unpack_it, tmp_path, content)


@pytest.mark.parametrize(
    ("kind", "words"), [(stat.S_IFLNK, "the link 'a.jpg'"), (stat.S_IFIFO, "no plain file")]
)
def test_a_link_or_a_pipe_is_refused(kind, words, unpack_it, tmp_path):
    member = zipfile.ZipInfo("a.jpg")
    member.external_attr = (kind | 0o777) << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    message = refusal(unpack_it, tmp_path, data.getvalue())
    assert words in message
    assert "from its source" in message


def test_a_zip_with_a_password_says_what_to_do(unpack_it, tmp_path):
    content = bytearray(zip_of({"a.jpg": picture(1)}))
    content[content.index(b"PK\1\2") + 8] |= 1
    assert "protected with a password" in refusal(unpack_it, tmp_path, bytes(content))


@pytest.mark.parametrize("name", ["a.jpg", "a.csv", "payload.bin"])
def test_a_member_that_swells_beyond_measure_is_refused(name, unpack_it, tmp_path):
    bomb = zip_of({"ok.csv": metadata(), name: bytes(20_000_000)}, stored=False)
    message = refusal(unpack_it, tmp_path, bomb)
    assert all(words in message for words in ("pictures.zip", name, "20,000,000 bytes", "zip bomb"))


def test_many_members_that_swell_together_are_refused(unpack_it, tmp_path):
    bomb = zip_of({f"{number}.csv": bytes(900_000) for number in range(30)}, stored=False)
    assert "would swell from" in refusal(unpack_it, tmp_path, bomb)


def test_a_zip_larger_than_any_dataset_is_refused(unpack_it, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1000)
    assert "more than a dataset does" in refusal(unpack_it, tmp_path, zip_of(GOOD))


def test_a_zip_of_too_many_files_is_refused(unpack_it, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 2)
    assert "3 files; at most 2" in refusal(unpack_it, tmp_path, zip_of(GOOD))


def test_a_picture_beyond_any_camera_is_refused(unpack_it, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_PICTURE_BYTES", 100)
    assert "zip bomb" in refusal(unpack_it, tmp_path, zip_of(GOOD))


def test_a_size_that_is_a_lie_writes_no_more_than_it_says(unpack_it, tmp_path):
    content = bytearray(zip_of({"a.csv": bytes(5_000_000)}, stored=False))
    directory = content.index(b"PK\1\2")
    for place in (content.index(b"PK\3\4") + 22, directory + 24):
        content[place : place + 4] = struct.pack("<I", 100)
    with pytest.raises(BadZip, match=r"damaged at 'a\.csv'"):
        unpack_it(bytes(content))
    assert all(path.stat().st_size <= 100 for path in (tmp_path / "files").rglob("*.csv"))


def test_the_twins_of_kaggles_zip_come_once_and_are_counted(unpack_it, tmp_path):
    unpacked = unpack_it(kaggle_zip())
    names = {path.name for path in (tmp_path / "files/set").rglob("*.jpg")}
    assert names == set(PICTURES)
    assert len(list((tmp_path / "files/set").rglob("*.jpg"))) == len(PICTURES)
    assert len(unpacked.left_out["a twin of another member"]) == len(PICTURES)


def test_names_that_differ_by_case_over_different_contents_are_refused(unpack_it, tmp_path):
    message = refusal(unpack_it, tmp_path, zip_of({"x/A.jpg": picture(1), "X/a.jpg": picture(9)}))
    assert all(words in message for words in ("'x/A.jpg'", "'X/a.jpg'", "by case", "Keep the right one"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_over_different_contents_is_refused(unpack_it, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.jpg", picture(1))
        archive.writestr("a.jpg", picture(9))
    assert "'a.jpg' and 'a.jpg'" in refusal(unpack_it, tmp_path, data.getvalue())


def test_what_is_neither_picture_nor_table_is_never_written_and_named(unpack_it, tmp_path):
    strangers = {"setup.exe": b"MZ", "model.pkl": b"\x80", "run.py": b"import os", "inner.zip": zip_of(GOOD)}
    unpacked = unpack_it(zip_of(GOOD | strangers))
    assert tree(tmp_path / "files/set") == GOOD
    assert set(unpacked.left_out["neither picture nor table"]) == set(strangers)


def test_a_member_that_only_claims_to_be_a_picture_is_not_written_and_named(unpack_it, tmp_path):
    unpacked = unpack_it(zip_of(GOOD | {"bad.jpg": b"<script>", "empty.png": b"", "gif.png": b"GIF89a"}))
    assert tree(tmp_path / "files/set") == GOOD
    assert unpacked.left_out["named like a picture, but none"] == ("bad.jpg", "empty.png", "gif.png")


def test_what_a_system_left_in_a_zip_is_passed_by(unpack_it, tmp_path):
    unpacked = unpack_it(zip_of(GOOD | {"__MACOSX/._a.jpg": b"junk", ".DS_Store": b"junk"}))
    assert tree(tmp_path / "files/set") == GOOD
    assert unpacked.left_out == {}


def test_licence_papers_come_along(unpack_it, tmp_path):
    unpack_it(zip_of(GOOD | {"LICENSE": b"by", "README.md": b"#", "ATTRIBUTION.txt": b"by"}))
    assert {"LICENSE", "README.md", "ATTRIBUTION.txt"} <= set(tree(tmp_path / "files/set"))


@pytest.mark.parametrize("content", [zip_of({}), zip_of({"run.exe": b"MZ"})])
def test_a_zip_without_any_data_says_so(content, unpack_it, tmp_path):
    assert "holds no picture and no table" in refusal(unpack_it, tmp_path, content)


@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\x07", zip_of(GOOD)[:-30], b"PK\3\4" + bytes(100)])
def test_what_is_no_whole_zip_is_told(content, unpack_it, tmp_path):
    message = refusal(unpack_it, tmp_path, content)
    assert "is no whole zip" in message
    assert "Download it again" in message


@pytest.mark.parametrize("stored", [True, False])
def test_a_damaged_member_is_named(stored, unpack_it):
    content = bytearray(zip_of({"a.csv": metadata() * 50}, stored=stored))
    content[120] ^= 255
    with pytest.raises(BadZip, match=r"pictures\.zip is damaged at 'a\.csv'.*Download it again"):
        unpack_it(bytes(content))


def test_progress_says_how_far_it_is_and_can_stop_it(unpack_it):
    seen = []
    unpack_it(zip_of(GOOD), report=lambda done, **words: seen.append((done, words["note"])))
    assert seen[0] == (0, "Unpacking pictures.zip, 0 %")
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def stop(done, total=None, **_):
        raise Cancelled

    with pytest.raises(Cancelled):
        unpack_it(zip_of(GOOD), report=stop)


@given(name=st.text(min_size=1, max_size=40))
def test_no_name_whatever_is_written_outside_the_folder(tmp_path_factory, name):
    place = tmp_path_factory.mktemp("unpack")
    archive = place / "x.zip"
    with zipfile.ZipFile(archive, "w") as written:
        member = zipfile.ZipInfo("x.jpg")
        member.filename = name
        try:
            written.writestr(member, picture(1))
        except (UnicodeEncodeError, ValueError, IndexError):  # no zip can have such a name
            return
    with suppress(BadZip, OSError):
        unpack(archive, place / "files", report=quiet)
    outside = [path for path in place.rglob("*") if path.is_file() and path != archive]
    assert all(path.resolve().is_relative_to(place / "files") for path in outside)
