"""Merging: nothing disappears unsaid, no name means two things, no lesion has two diagnoses."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data.copies import originals_of
from core.data.merging import Part, Report, merge_datasets, merge_tables
from core.data.metadata import validate_metadata
from core.data.readers import count_missing, read_dataset
from core.errors import MetadataError
from core.labels import CODES
from tests.core.data.test_readers import isic_2018, kaggle, pad_ufes, picture, write


def table(*rows, source="x"):
    """Rows (image_id, lesion_id, dx) as a metadata table."""
    frame = pd.DataFrame(rows, columns=["image_id", "lesion_id", "dx"]).assign(source=source)
    return validate_metadata(frame, source_name="test")


def merged(*tables, **options):
    parts = [Part(f"set{index}", one) for index, one in enumerate(tables)]
    return merge_tables(parts, **options)


NAMES = st.sampled_from(["a", "b", "c", "ISIC_0000001", "ISIC_0000002", "ISIC_0000003"])
LESIONS = st.sampled_from(["1", "2", "3", "HAM_0000001", "HAM_0000002", "IL_0000001"])


@st.composite
def datasets(draw):
    """A valid metadata table whose names may be those of others."""
    ids = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    lesion_of = [draw(LESIONS) for _ in ids]
    dx_of = {lesion: draw(st.sampled_from(CODES[:3])) for lesion in sorted(set(lesion_of))}
    return table(
        *((one, lesion, dx_of[lesion]) for one, lesion in zip(ids, lesion_of, strict=True)),
        source=draw(st.sampled_from(["x", "y"])),
    )


@settings(max_examples=25)
@given(tables=st.lists(datasets(), min_size=1, max_size=4))
def test_every_row_is_in_the_result_or_in_the_report(tables):
    result, origin, report = merged(*tables)
    given_rows = Counter(
        (f"set{index}", image) for index, one in enumerate(tables) for image in one["image_id"]
    )
    taken = Counter(zip(origin["dataset"], origin["original_image_id"], strict=True))
    told = Counter((name, image) for name, image, _ in report.duplicates)
    told += Counter((name, image) for name, image, _, _ in report.conflicts)
    assert taken + told == given_rows
    assert sum(report.images.values()) == len(result)


@settings(max_examples=25)
@given(tables=st.lists(datasets(), min_size=1, max_size=4))
def test_the_result_is_a_metadata_table_in_which_a_name_means_one_thing(tables):
    result, origin, report = merged(*tables)
    pd.testing.assert_frame_equal(validate_metadata(result, source_name="again"), result)
    # The first dataset keeps its names.
    first = origin["dataset"] == "set0"
    assert (result.loc[first, "image_id"] == origin.loc[first, "original_image_id"]).all()
    renamed = {(name, image): new for name, image, new in report.renamed}
    for name, before, after in zip(
        origin["dataset"], origin["original_image_id"], result["image_id"], strict=True
    ):
        assert after == renamed.get((name, before), before)


@settings(max_examples=25)
@given(tables=st.lists(datasets(), min_size=2, max_size=3))
def test_lesions_are_one_only_by_source_by_world_wide_name_or_by_a_shared_picture(tables):
    result, origin, report = merged(*tables)
    joined = {(name, lesion) for name, lesion, _ in report.joined_lesions}
    linked = {name for name, _, _ in report.duplicates} | {first for _, _, first in report.duplicates}
    for _, rows in result.assign(**origin).groupby("lesion_id"):
        if rows["dataset"].nunique() < 2:
            continue
        for _, row in rows.iterrows():
            lesion = row["original_lesion_id"]
            assert (
                lesion.startswith(("HAM_", "IL_"))
                or (rows["source"] == row["source"]).sum() >= 2
                or (row["dataset"], lesion) in joined
                or row["dataset"] in linked
            )


@settings(max_examples=25)
@given(one=datasets())
def test_merging_a_dataset_with_itself_changes_nothing(one):
    world = one[one["image_id"].str.startswith("ISIC_")].reset_index(drop=True)
    if world.empty:
        return
    result, _, report = merged(world, world)
    pd.testing.assert_frame_equal(result, world)
    assert len(report.duplicates) == len(world)


def test_a_name_used_twice_for_different_pictures_is_changed_in_the_later_set():
    result, _, report = merged(table(("a", "1", "nv")), table(("A", "1", "mel"), source="y"))
    assert result["image_id"].tolist() == ["a", "set1_A"]
    assert result["lesion_id"].tolist() == ["1", "set1_1"]
    assert report.renamed == [("set1", "A", "set1_A")]
    assert report.renamed_lesions == [("set1", "1", "set1_1")]


def test_a_new_name_that_is_taken_too_gets_a_number():
    result, _, _ = merged(table(("a", "1", "nv"), ("set1_a", "2", "nv")), table(("a", "3", "nv"), source="y"))
    assert result["image_id"].tolist() == ["a", "set1_a", "set1_a-2"]


def test_facts_that_came_first_take_over_the_picture_that_came_later():
    later = table(("ISIC_0000001", "1", "nv")).assign(image_path="/there/ISIC_0000001.jpg")
    result, _, report = merged(table(("ISIC_0000001", "1", "nv")), later)
    assert result["image_path"].tolist() == ["/there/ISIC_0000001.jpg"]
    assert report.duplicates == [("set1", "ISIC_0000001", "set0")]


def test_the_third_dataset_is_compared_with_all_before_it():
    one, two, three = (
        table(("x", lesion, "nv"), source=lesion).assign(image_path=path)
        for lesion, path in (("l1", "/a/x.jpg"), ("l2", "/b/x.jpg"), ("l3", "/c/x.jpg"))
    )
    alike = {"/b/x.jpg", "/c/x.jpg"}
    result, _, report = merged(one, two, three, same_picture=lambda *paths: set(map(str, paths)) == alike)
    assert result["image_id"].tolist() == ["x", "set1_x"]
    assert report.duplicates == [("set2", "x", "set1")]


@pytest.mark.parametrize("rows", [("x", "x_aug01"), ("x_aug01", "x")])
def test_copies_go_with_their_original_when_it_is_renamed(rows):
    first = table(("x", "1", "nv"), ("x_aug01", "1", "nv"), source="a")
    later = table(*((name, "1", "nv") for name in rows), source="b")
    result, _, _ = merged(first, later)
    assert set(result["image_id"]) == {"x", "x_aug01", "set1_x", "set1_x_aug01"}
    originals = originals_of(result).set_axis(result["image_id"])
    assert originals.dropna().to_dict() == {"x_aug01": "x", "set1_x_aug01": "set1_x"}


def test_another_copy_of_a_shared_original_gets_the_next_number():
    first = table(("p", "1", "nv"), ("p_aug01", "1", "nv")).assign(image_path="/a.jpg")
    later = first.assign(image_path=["/a.jpg", "/other.jpg"])
    result, _, _ = merged(first, later, same_picture=lambda one, other: one == other)
    assert result["image_id"].tolist() == ["p", "p_aug01", "p_aug02"]
    assert originals_of(result).dropna().tolist() == ["p", "p"]


def test_a_shared_picture_joins_its_lesions_with_all_their_photos():
    archive = table(
        ("ISIC_0000001", "IL_0000007", "nv"), ("ISIC_0000009", "IL_0000007", "nv"), source="archive"
    )
    result, _, report = merged(table(("ISIC_0000001", "HAM_0000001", "nv")), archive)
    assert result["image_id"].tolist() == ["ISIC_0000001", "ISIC_0000009"]
    assert result["lesion_id"].tolist() == ["HAM_0000001", "HAM_0000001"]
    assert report.duplicates == [("set1", "ISIC_0000001", "set0")]
    assert report.joined_lesions == [("set1", "IL_0000007", "HAM_0000001")]


def test_a_lesion_keeps_its_first_diagnosis_and_the_other_rows_are_told():
    archive = table(
        ("ISIC_0000001", "IL_0000007", "mel"), ("ISIC_0000009", "IL_0000007", "mel"), source="archive"
    )
    result, _, report = merged(table(("ISIC_0000001", "HAM_0000001", "nv")), archive)
    assert result["image_id"].tolist() == ["ISIC_0000001"]
    assert report.conflicts == [("set1", "ISIC_0000009", "mel", "nv")]


def test_nothing_to_merge_and_names_given_twice_are_refused():
    with pytest.raises(MetadataError, match="nothing to merge"):
        merge_tables([])
    with pytest.raises(MetadataError, match="Two datasets are called 'a'"):
        merge_tables([Part("a", table(("a", "1", "nv")))] * 2)


def test_ham10000_and_pad_ufes_20_become_one_dataset_on_disk(tmp_path):
    sources = [("ham", kaggle(tmp_path / "ham")), ("pad", pad_ufes(tmp_path / "pad"))]
    report = merge_datasets(sources, tmp_path / "both")
    result = read_dataset(tmp_path / "both")
    assert dict(result["source"].value_counts()) == {"ham10000": 4, "pad_ufes_20": 3}
    assert dict(zip(result["image_id"], result["dx"], strict=True))["PAT_3_6_1"] == "akiec"
    assert count_missing(result) == 1 + 2
    assert report.labels["pad"] == {"NEV": ("nv", 1), "BCC": ("bcc", 1), "SCC": ("akiec", 1)}
    assert "  'SCC' is akiec: 1 images." in report.lines()
    written = pd.read_csv(tmp_path / "both" / "metadata.csv")
    assert written["dataset"].tolist() == ["ham"] * 4 + ["pad"] * 3
    stored = json.loads((tmp_path / "both" / "provenance.json").read_text())
    assert Report.from_json(stored["result"]) == report
    # Given again, the same command finds it done.
    assert merge_datasets(sources, tmp_path / "both") == report


def test_the_same_file_under_one_name_is_one_picture(tmp_path):
    for name, dx in (("one", "nv"), ("two", "nv")):
        picture(tmp_path / name / dx / "a.jpg")
        picture(tmp_path / name / dx / f"{name}.jpg", shade=10)
    picture(tmp_path / "two" / "nv" / "b.jpg", shade=7)
    picture(tmp_path / "one" / "nv" / "b.jpg", shade=200)
    report = merge_datasets([("one", tmp_path / "one"), ("two", tmp_path / "two")], tmp_path / "out")
    assert report.duplicates == [("two", "a", "one")]
    assert report.renamed == [("two", "b", "two_b")]
    result = read_dataset(tmp_path / "out").set_index("image_id")
    assert sorted(result.index) == ["a", "b", "one", "two", "two_b"]
    shades = {name: Image.open(path).getpixel((5, 5))[0] for name, path in result["image_path"].items()}
    assert shades["b"] - shades["two_b"] > 100


def foreign(folder):
    header = "patient_id,lesion_id,smoke,age,gender,region,diagnostic,img_id,biopsed"
    lines = [
        f"PAT_{n},{n},,50,MALE,BACK,{word},PAT_{n}_1_1.png,True"
        for n, word in enumerate(("NEV", "WART", "SCC"))
    ]
    write(folder / "metadata.csv", header, *lines)
    return folder


def test_words_that_no_map_knows_are_refused_all_at_once(tmp_path):
    foreign(tmp_path / "pad")
    text = (tmp_path / "pad" / "metadata.csv").read_text()
    (tmp_path / "pad" / "metadata.csv").write_text(text.replace("NEV", "MOLE"))
    with pytest.raises(MetadataError, match=r"row 2: dx is 'MOLE' \(in 1 row, 'WART' in 1\).*label map"):
        merge_datasets([("pad", tmp_path / "pad")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_map_comes_first_and_what_it_leaves_out_is_told(tmp_path):
    labels = {"pad": {"wart": "bkl", "SCC": None}}
    report = merge_datasets([("pad", foreign(tmp_path / "pad"))], tmp_path / "out", labels=labels)
    assert report.labels["pad"] == {"NEV": ("nv", 1), "WART": ("bkl", 1)}
    assert report.left_out["pad"] == {"diagnosis 'SCC' is left out by the label map": 1}
    assert read_dataset(tmp_path / "out")["dx"].tolist() == ["nv", "bkl"]


def test_a_label_map_reaches_every_layout(tmp_path):
    table = read_dataset(isic_2018(tmp_path / "isic"), labels={"VASC": None, "nv": "bkl"})
    assert table["dx"].tolist() == ["bkl", "mel"]
    table = read_dataset(kaggle(tmp_path / "ham"), labels={"BKL": None})
    assert table["dx"].tolist() == ["mel", "mel", "nv"]
    picture(tmp_path / "folders" / "wart" / "a.jpg")
    picture(tmp_path / "folders" / "nv" / "b.jpg")
    assert read_dataset(tmp_path / "folders", labels={"wart": "bkl"})["dx"].tolist() == ["nv", "bkl"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"nobody": {}}, "no dataset called 'nobody' to map; the datasets are pad"),
        ({"pad": {"WART": "wart"}}, "'WART' = 'wart'; expected one of akiec"),
        ({"pad": {"WART": "bkl", "wart": "nv"}}, "'bkl' and 'nv' for 'wart'"),
    ],
)
def test_a_wrong_label_map_is_refused(tmp_path, labels, words):
    with pytest.raises(MetadataError, match=words):
        merge_datasets([("pad", foreign(tmp_path / "pad"))], tmp_path / "out", labels=labels)


def test_a_report_survives_json():
    _, _, report = merged(table(("a", "1", "nv")), table(("a", "1", "mel"), source="y"))
    assert Report.from_json(json.loads(json.dumps(asdict(report)))) == report
    assert any("1 renamed: a of set1 to set1_a" in line for line in report.lines())


def test_the_same_file_under_two_ids_is_taken_twice_told_and_one_lesion(tmp_path):
    ham, other = kaggle(tmp_path / "ham"), tmp_path / "other"
    for number, path in enumerate(sorted(ham.rglob("*.jpg"))):
        picture(path, shade=150 + 10 * number)
    for dx, name in (("akiec", "a.jpg"), ("mel", "b.jpg"), ("mel", "c.jpg")):
        (other / dx).mkdir(parents=True, exist_ok=True)
        picture(other / dx / name, shade=20 * (ord(name[0]) - 95))
    facts = read_dataset(ham).set_index("image_id")
    one = facts.loc["ISIC_1"]
    twin = other / one["dx"] / "twin.jpg"
    twin.parent.mkdir(exist_ok=True)
    twin.write_bytes(Path(one["image_path"]).read_bytes())
    wrong = other / next(code for code in CODES if code != one["dx"]) / "wrong.jpg"
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_bytes(Path(one["image_path"]).read_bytes())

    report = merge_datasets([("ham", ham), ("other", other)], tmp_path / "out", workers=1)
    assert [pair[1:] for pair in report.twins] == [("twin", "ham", "ISIC_1")]
    assert [case[:4] for case in report.disputed] == [("other", "wrong", "ham", "ISIC_1")]
    assert report.disputed[0][4:] == (wrong.parent.name, one["dx"])
    said = "\n".join(report.lines())
    assert "1 taken though another id has the very same file: twin of other (as ISIC_1 of ham)." in said
    assert f"wrong of other ({wrong.parent.name}; ISIC_1 of ham: {one['dx']})" in said
    lesions = read_dataset(tmp_path / "out").set_index("image_id")["lesion_id"]
    assert lesions["twin"] == lesions["ISIC_1"] != lesions["wrong"]
    # What was done is told again when the command is given again.
    again = merge_datasets([("ham", ham), ("other", other)], tmp_path / "out", workers=1)
    assert again == report
