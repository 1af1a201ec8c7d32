"""The commands of `prepare`: what they write, what they say, and what they refuse in one sentence."""

import json
import re
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from core.data.copies import originals_of
from core.data.readers import count_missing, read_dataset
from core.data.splits import Split
from core.data.synthetic import make_dataset
from core.errors import DataError, LesionLensError, MetadataError
from tests.core.data.test_readers import pad_ufes
from train.__main__ import app
from train.prepare import read_label_maps, read_targets

COMMANDS = ("get", "combine", "merge", "augment", "resize", "split", "counts", "report", "synthetic")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data") / "made", images_per_class=12, seed=2, size_px=(36, 48)
    )


def prepare(*arguments):
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    if isinstance(result.exception, LesionLensError):
        raise result.exception
    return result


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does(name):
    shown = prepare(name, "--help")
    assert shown.exit_code == 0
    assert "Usage: " in shown.output
    assert "Annotated" not in shown.output


def test_every_command_is_listed():
    shown = prepare("--help").output
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_combine_resize_augment_and_split_work_on_each_others_results(data, tmp_path):
    said = prepare("combine", "--data", data, "--out", tmp_path / "one", "--workers", 1).output
    assert "84 images, 0 of them without a picture." in said
    said = prepare(
        "resize", "--data", tmp_path / "one", "--out", tmp_path / "small", "--size", "18x24", "--workers", 1
    ).output
    assert "84 images" in said
    said = prepare(
        "augment", "--data", tmp_path / "small", "--out", tmp_path / "more", "--target", "df=15",
        "--target", "nv=3", "--workers", 1,
    ).output  # fmt: skip
    assert re.search(r"^df: \d+ training pictures became 15\.$", said, re.MULTILINE)
    assert re.search(
        r"^nv: no copies, \d+ training pictures are already there; the target is 3\.$", said, re.M
    )
    table = read_dataset(tmp_path / "more")
    assert count_missing(table) == 0
    assert originals_of(table).notna().sum() == len(table) - 84 > 0
    said = prepare("split", "--data", tmp_path / "more", "--out", tmp_path / "split.csv").output
    assert "train" in said
    assert "df 15" in said.splitlines()[0]
    assert Split.load(tmp_path / "split.csv").hash == Split.of(read_dataset(data), seed=0).hash
    assert Split.load(tmp_path / "more" / "split.csv").hash == Split.of(read_dataset(data), seed=0).hash


def test_merge_takes_names_and_a_label_map(data, tmp_path):
    pad_ufes(tmp_path / "pad")
    (tmp_path / "map.toml").write_text('[clinic]\nSCC = ""\nBCC = "bkl"\n')
    said = prepare(
        "merge", data, f"clinic={tmp_path / 'pad'}", "--out", tmp_path / "both",
        "--labels", tmp_path / "map.toml", "--workers", 1,
    ).output  # fmt: skip
    assert "clinic: 2 images taken." in said
    assert "'BCC' is bkl: 1 images." in said
    assert "diagnosis 'SCC' is left out by the label map: 1." in said
    assert len(read_dataset(tmp_path / "both")) == 84 + 2
    stored = json.loads((tmp_path / "both" / "provenance.json").read_text())
    assert stored["work"]["labels"] == {"clinic": {"SCC": None, "BCC": "bkl"}}


def test_counts_are_written_without_ids(data, tmp_path):
    said = prepare("counts", "--data", data, "--out", tmp_path / "counts.csv").output
    assert said.startswith("84 images in ")
    counts = pd.read_csv(tmp_path / "counts.csv")
    assert counts["images"].sum() == 84
    assert "image_id" not in counts.columns


def test_report_says_what_each_part_holds(data, tmp_path):
    prepare("report", "--data", data, "--out", tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert f"84 images of {read_dataset(data)['lesion_id'].nunique()} lesions, split with seed 0" in text
    for title in (
        "Training",
        "Test",
        "Diagnosis",
        "Sex",
        "Skin tone (ITA)",
        "Reading",
        "Quality: 5th percentile",
    ):
        assert f"\n## {title}" in text
    parts = Split.of(read_dataset(data), seed=0).table["split"].value_counts()
    sharpness = next(line for line in text.splitlines() if line.startswith("| Sharpness |"))
    assert re.findall(r"n = (\d+)", sharpness) == [str(parts[part]) for part in ("train", "val", "test")]


def test_report_of_facts_alone_has_no_measured_quality(data, tmp_path):
    (tmp_path / "facts").mkdir()
    shutil.copy(data / "HAM10000_metadata.csv", tmp_path / "facts")
    said = prepare("report", "--data", tmp_path / "facts").output
    assert "- images without a picture here: 84" in said
    assert "## Quality: 5th" not in said


def test_synthetic_draws_as_many_as_asked(tmp_path):
    prepare("synthetic", "--out", tmp_path / "drawn", "--images", 14, "--size", "24x32", "--workers", 1)
    assert len(read_dataset(tmp_path / "drawn")) == 14


def test_targets_are_read_and_the_later_one_wins():
    assert read_targets(["all=9", "df=20"])["df"] == 20
    assert set(read_targets(["all=9"]).values()) == {9}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("df", "write CODE=COUNT"),
        ("df=", "write CODE"),
        ("df=x", "df=500"),
        ("wart=5", "'wart'; expected all"),
    ],
)
def test_a_target_that_is_none_is_refused(text, words):
    with pytest.raises(DataError, match=words):
        read_targets([text])


@pytest.mark.parametrize("content", ["= 1", "pad = 'x'", "[pad]\nx = 3", b"\xff"])
def test_a_label_map_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "map.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MetadataError, match=r"map\.toml"):
        read_label_maps(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["combine", "--out", "x"], "give --data DIR or set LESIONLENS_DATA"),
        (["synthetic", "--out", "x", "--size", "300"], "HEIGHTxWIDTH"),
    ],
)
def test_what_is_missing_is_named(arguments, words):
    refused = prepare(*arguments)
    assert refused.exit_code == 2
    assert words in " ".join(refused.output.replace("│", " ").split())
