"""Many pictures are answered as one would be, and no name becomes a formula."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.data.facts import Facts
from core.data.pictures import read_picture
from core.errors import DataError
from core.jobs import Cancelled
from core.labels import CODES
from core.models.checkpoint import load_checkpoint
from core.predict import scoring
from core.predict.predictor import DEFAULT_OPERATING_POINT, answer, look
from core.predict.scoring import NamedPicture, PictureFile, Way, isic_csv, score_pictures, unpack
from tests.core.models.making import lesion, lively_network, write_checkpoint

PATIENT = Facts(40, "female", "face")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, lively_network("efficientnet_lite0"))
    return load_checkpoint(folder)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def threshold_of(checkpoint):
    return checkpoint.manifest.operating_point(DEFAULT_OPERATING_POINT).threshold


def scored(checkpoint, pictures, report=lambda *_, **__: None):
    return score_pictures(
        checkpoint, pictures, [PATIENT] * len(pictures), threshold=threshold_of(checkpoint), report=report
    )


def test_every_row_is_what_the_page_answers_for_that_picture(checkpoint):
    pictures = [
        NamedPicture(f"{seed}.png", png(lesion(seed)[:, : 200 - 30 * (seed % 2)])) for seed in range(10)
    ]
    table = scored(checkpoint, pictures)
    assert list(table["image"]) == [one.name for one in pictures]
    for one, row in zip(pictures, table.itertuples(index=False), strict=True):
        alone = answer(checkpoint, look(checkpoint, read_picture(one.data, name="x").pixels), PATIENT)
        np.testing.assert_allclose([getattr(row, code) for code in CODES], alone.probabilities, atol=1e-5)
        assert row.above_threshold == alone.above_threshold


def test_what_cannot_be_answered_has_its_reason_and_no_numbers(checkpoint):
    flat = np.full((60, 80, 3), 99, np.uint8)
    table = scored(
        checkpoint,
        [
            NamedPicture("broken.png", b"no"),
            NamedPicture("flat.png", png(flat)),
            NamedPicture("a.png", png(lesion())),
        ],
    )
    assert table["problem"].str.len().gt(0).tolist() == [True, True, False]
    assert "blank" in table["problem"][1]
    assert table.loc[:1, [*CODES, "malignancy"]].isna().to_numpy().all()
    lines = isic_csv(table).decode("utf-8-sig").splitlines()
    assert lines[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    assert [line.split(",")[0] for line in lines[1:]] == ["a"]


@pytest.mark.parametrize("name", ["=1+1", "@x"])
def test_a_name_never_becomes_a_formula(checkpoint, name):
    written = isic_csv(scored(checkpoint, [NamedPicture(f"{name}.png", png(lesion()))]))
    assert written.decode("utf-8-sig").splitlines()[1].startswith("'")


def test_a_zip_is_opened_and_what_is_no_picture_left_out():
    data = zipped(
        {"a/one.png": b"1", "../two.JPG": b"2", "read.me": b"3", "__MACOSX/one.png": b"4", ".x.png": b"5"}
    )
    found = unpack([NamedPicture("all.zip", data), NamedPicture("three.png", b"6")], max_bytes=100)
    assert [(one.name, one.data) for one in found] == [
        ("one.png", b"1"),
        ("two.JPG", b"2"),
        ("three.png", b"6"),
    ]


def test_what_is_too_much_or_broken_is_refused_by_name(monkeypatch):
    with pytest.raises(DataError, match=r"bomb.png in all.zip is over"):
        unpack([NamedPicture("all.zip", zipped({"bomb.png": bytes(3 * 2**20)}))], max_bytes=2**20)
    with pytest.raises(DataError, match=r"torn.zip cannot be unpacked"):
        unpack([NamedPicture("torn.zip", b"PK\x03\x04")], max_bytes=100)
    with pytest.raises(DataError, match="There is no picture"):
        unpack([NamedPicture("empty.zip", zipped({"a.txt": b""}))], max_bytes=100)
    monkeypatch.setattr(scoring, "MOST_PICTURES", 2)
    with pytest.raises(DataError, match="More than 2 pictures"):
        unpack([NamedPicture(f"{place}.png", b"") for place in range(3)], max_bytes=100)
    with pytest.raises(DataError, match=r"many.zip holds more than 2"):
        unpack([NamedPicture("many.zip", zipped({f"{n}.png": b"" for n in range(3)}))], max_bytes=100)


def test_it_stops_between_batches_when_it_is_told(checkpoint):
    def stop(done, total, **_):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        scored(checkpoint, [NamedPicture(f"{n}.png", png(lesion(n))) for n in range(9)], report=stop)


def test_every_picture_moves_the_progress_also_one_that_cannot_be_read(checkpoint):
    seen = []
    pictures = [NamedPicture("broken.png", b"no")] + [
        NamedPicture(f"{n}.png", png(lesion(n))) for n in range(5)
    ]
    scored(checkpoint, pictures, report=lambda done, total, **_: seen.append((done, total)))
    assert seen == [(0, 6), (1, 6), (5, 6), (6, 6)]


def test_names_that_come_again_are_numbered_so_that_rows_can_be_told_apart():
    files = [NamedPicture(f"{name}", b"1") for name in ("a.png", "b.png", "a.png", "a.jpg", "a (2).png")]
    assert [one.name for one in unpack(files, max_bytes=9)] == [
        "a.png",
        "b.png",
        "a (2).png",
        "a (3).jpg",
        "a (2) (2).png",
    ]


def test_a_picture_file_is_answered_as_the_same_bytes_are(checkpoint, tmp_path):
    (tmp_path / "one.png").write_bytes(png(lesion()))
    brought = scored(checkpoint, [NamedPicture("one.png", png(lesion()))])
    lying = scored(checkpoint, [PictureFile(tmp_path / "one.png")])
    assert isic_csv(brought) == isic_csv(lying)


@pytest.mark.parametrize("gated", [True, False])
def test_only_a_challenge_gets_answers_to_what_is_not_known(checkpoint, gated):
    flat = NamedPicture("flat.png", png(np.full((60, 80, 3), 99, np.uint8)))
    table = score_pictures(checkpoint, [flat], [PATIENT], way=Way(gated=gated))
    assert table["malignancy"].isna().tolist() == [gated]


def test_many_small_zips_together_are_as_limited_as_one(monkeypatch):
    monkeypatch.setattr(scoring, "_MOST_BYTES", 250)
    zips = [NamedPicture(f"{n}.zip", zipped({f"{n}.png": bytes(100)})) for n in range(3)]
    assert len(unpack(zips[:2], max_bytes=100)) == 2
    with pytest.raises(DataError, match="bring fewer at once"):
        unpack(zips, max_bytes=100)
