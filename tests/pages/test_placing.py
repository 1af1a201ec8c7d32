"""Predict says of a dataset's picture what is known: whether this checkpoint has learned from it."""

import json

import pytest

from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import make_dataset
from pages.ui import placing
from tests.pages.checkpoints import write_checkpoint
from tests.pages.reading import said


@pytest.fixture
def trained_here(tmp_path, monkeypatch):
    """The split of a dataset, and a checkpoint whose manifest says that it was trained on it."""
    folder = make_dataset(tmp_path / "data", images_per_class=6, seed=0, size_px=(60, 80))
    split = Split.of(read_dataset(folder), seed=0)
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    manifest = checkpoint / "lesionlens.json"
    known = json.loads(manifest.read_text()) | {"split_hash": split.hash, "recipe": {"seed": 0}}
    manifest.write_text(json.dumps(known))
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"local:{checkpoint}")
    placing._split.clear()
    yield split.table
    placing._split.clear()


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_place_in_the_checkpoints_own_split_is_said(open_page, trained_here, part):
    image_id = trained_here.loc[trained_here["split"] == part, "image_id"].iloc[0]
    app = open_page("Predict", picture="dataset", image_id=image_id)
    assert not app.exception
    assert f"In the split of checkpoint, {placing.PLACES[part]}." in said(app, "caption")
    assert "may have learned" not in said(app)


def test_where_the_split_is_of_other_data_that_is_said(open_page, tmp_path, monkeypatch):
    folder = make_dataset(tmp_path / "data", images_per_class=1, seed=0, size_px=(60, 80))
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"local:{checkpoint}")
    app = open_page("Predict", picture="dataset")
    assert "no split of it fits this dataset" in said(app, "caption")
    assert "is not known" in said(app, "caption")


def test_of_a_picture_of_nobodys_nothing_is_said(open_page, trained_here):
    assert "call_split" not in said(open_page("Predict"), "caption")
