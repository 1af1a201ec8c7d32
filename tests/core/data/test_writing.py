"""Folders that we write: combined and resized datasets, and what is refused before a byte is written."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from core.data import writing
from core.data.augmenting import Augmentation, augment_dataset
from core.data.combining import combine
from core.data.merging import merge_datasets
from core.data.pictures import read_picture
from core.data.readers import count_missing, read_dataset
from core.data.resizing import Size, resize_dataset, resized
from core.data.splits import Split
from core.data.synthetic import draw_dataset, make_dataset
from core.data.writing import OutputFolder
from core.errors import DataError
from tests.core.data.test_readers import kaggle, picture


@pytest.fixture
def data(tmp_path):
    return kaggle(tmp_path / "data")


def test_two_folders_and_their_case_twins_become_one_in_order(data, tmp_path):
    twin = tmp_path / "data" / "ham10000_images_part_1"
    for path in list((data / "HAM10000_images_part_1").iterdir()):
        twin.mkdir(exist_ok=True)
        shutil.copy(path, twin / path.name.lower())
    picture(twin / "ISIC_3.jpg", shade=33)
    picture(twin / "stranger.jpg")
    result = combine(data, tmp_path / "out", workers=1)
    assert (result.images, result.without_picture, result.twins, result.strangers) == (4, 1, 2, 1)
    # The first by path is taken, and upper case comes first: HAM10000_images_part_2.
    assert result.different_twins == ("ham10000_images_part_1/ISIC_3.jpg",)
    assert any("ISIC_3.jpg, whose name another, different file has" in line for line in result.lines())
    assert sorted(path.name for path in (tmp_path / "out" / "images").iterdir()) == [
        f"ISIC_{n}.jpg" for n in (1, 2, 3)
    ]
    before, after = read_dataset(data), read_dataset(tmp_path / "out")
    facts = ["image_id", "lesion_id", "dx", "dx_type", "age_years", "sex", "site", "source"]
    assert after[facts].equals(before[facts])
    assert Split.of(after, seed=3).hash == Split.of(before, seed=3).hash
    assert combine(data, tmp_path / "out", workers=1) == result


def test_an_unreadable_picture_is_named_and_its_row_stays(data, tmp_path):
    (data / "HAM10000_images_part_1" / "ISIC_1.jpg").write_bytes(b"")
    result = combine(data, tmp_path / "out", workers=1)
    assert len(result.unreadable) == 1
    assert "ISIC_1.jpg is empty" in result.unreadable[0]
    assert count_missing(read_dataset(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("size", "shape"), [("20", (20, 27, 3)), ("18x24", (18, 24, 3)), ("24 × 18", (24, 18, 3))]
)
def test_a_size_is_a_shorter_side_or_exact(size, shape):
    pixels = np.zeros((36, 48, 3), dtype=np.uint8)
    assert resized(pixels, Size.parse(size), gray=False).shape == shape
    assert resized(pixels, Size.parse(size), gray=True).shape == shape[:2]


@pytest.mark.parametrize("text", ["", "x", "20x", "-5", "20x30x40", "2", "99999", "1.5"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(DataError, match="expected"):
        Size.parse(text)


def test_gray_is_the_luma_and_levels_stay_whole(tmp_path):
    folder = make_dataset(tmp_path / "made", images_per_class=1, seed=1, size_px=(36, 48))
    resize_dataset(folder, tmp_path / "out", size=Size(36, 48), gray=True, workers=1)
    before = read_dataset(folder).set_index("image_id")["image_path"]
    for path in (tmp_path / "out" / "images").iterdir():
        with Image.open(path) as image:
            assert image.mode == "L"
        pixels = read_picture(path, name="p").pixels.astype(float)
        original = read_picture(type(path)(before[path.stem]), name="p").pixels
        assert np.abs(pixels[..., 0] - original @ [0.299, 0.587, 0.114]).mean() < 2
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_facts_alone_can_be_resized_too(data, tmp_path):
    for path in data.rglob("*.jpg"):
        path.unlink()
    assert resize_dataset(data, tmp_path / "out", size=Size(20), workers=1).without_picture == 4
    assert len(read_dataset(tmp_path / "out")) == 4


def test_a_dataset_is_never_written_into(data):
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    for out in (data, data / "new"):
        with pytest.raises(DataError, match="which is only read; choose a folder outside it"):
            combine(data, out, workers=1)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_a_folder_that_holds_something_else_is_refused_and_kept(data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds 'thesis\.txt' already"):
        combine(data, tmp_path / "out", workers=1)
    with pytest.raises(DataError, match="is a file"):
        combine(data, tmp_path / "out" / "thesis.txt", workers=1)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_other_data_does_not_go_on_in_an_unfinished_folder(data, tmp_path):
    combine(data, tmp_path / "out", workers=1)
    path = data / "HAM10000_metadata.csv"
    path.write_text(path.read_text().replace("scalp", "back"))
    with pytest.raises(DataError, match=r"begun with other options \(data was"):
        combine(data, tmp_path / "out", workers=1)


def test_a_disk_without_room_is_said_before_anything_is_copied(data, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(DataError, match=r"needs about 0 MB and its disk has 0 MB free"):
        combine(data, tmp_path / "out", workers=1)
    assert not list((tmp_path / "out" / "images").iterdir())


def test_a_folder_that_cannot_be_written_is_said_by_name(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/out could not be written \(Not a directory\)"):
        combine(data, tmp_path / "file" / "out", workers=1)


def test_torn_pictures_of_a_killed_process_are_swept_up(data, tmp_path):
    work = {"command": "x"}
    with OutputFolder(tmp_path / "out", work=work) as folder:
        (folder.images / "ISIC_1.jpg.77.partial").write_bytes(b"half")
        folder.finish(read_dataset(data), result={})
    assert list(folder.images.iterdir()) == []
    with OutputFolder(tmp_path / "out", work=work) as again:
        assert again.finished == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "images",
        "metadata.csv",
        "provenance.json",
    ]


COMMANDS = {
    "combine": lambda data, out, progress: combine(data, out, workers=1, progress=progress),
    "resize": lambda data, out, progress: resize_dataset(
        data, out, size=Size(20), workers=1, progress=progress
    ),
    "augment": lambda data, out, progress: augment_dataset(
        data, out, Augmentation({"mel": 9}), workers=1, progress=progress
    ),
    "merge": lambda data, out, progress: merge_datasets([("a", data)], out, workers=1, progress=progress),
    "synthetic": lambda _, out, progress: draw_dataset(
        out, images=7, seed=0, size_px=(24, 32), workers=1, progress=progress
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_second_command_at_the_same_folder_is_refused_and_the_first_ends_well(name, tmp_path):
    data = make_dataset(tmp_path / "data", images_per_class=8, seed=1, size_px=(24, 32))
    refused = []

    def meanwhile(*_):
        if not refused:
            with pytest.raises(DataError, match="out is being written already, by another command") as caught:
                COMMANDS[name](data, tmp_path / "out", None)
            refused.append(caught.value)

    COMMANDS[name](data, tmp_path / "out", meanwhile)
    assert refused
    assert read_dataset(tmp_path / "out")["image_path"].notna().all()
    assert not (tmp_path / "out" / writing.LOCK_NAME).exists()


def test_a_command_that_failed_leaves_its_folder_to_the_next(data, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        combine(data, tmp_path / "out", workers=1, progress=stop)
    assert combine(data, tmp_path / "out", workers=1).images == 4
