"""Where pictures lie in a checkpoint's split: believed only when the split is that very one."""

import json

import pandas as pd
import pytest

from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import BrokenCheckpoint
from core.models.catalog import BUNDLED_FOLDER
from core.predict.placing import split_of_checkpoint


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image_id": [f"I{number:02d}" for number in range(60)],
            "lesion_id": [f"L{number // 2:02d}" for number in range(60)],
            "dx": ["nv"] * 40 + ["mel"] * 20,
        }
    )


def write_manifest(folder, **values):
    (folder / "lesionlens.json").write_text(json.dumps(values), encoding="utf-8")


def test_pictures_are_placed_in_the_split_that_the_checkpoint_was_trained_on(table, tmp_path):
    split = Split.of(table, seed=3)
    write_manifest(tmp_path, recipe={"seed": 3}, split_hash=split.hash)
    shuffled = table.sample(frac=1, random_state=0)
    placed = split_of_checkpoint(shuffled, tmp_path)
    assert placed is not None
    assert placed.index.equals(shuffled.index)
    expected = split.table.set_index("image_id")["split"]
    assert placed.tolist() == [expected[name] for name in shuffled["image_id"]]


def test_a_part_of_the_data_or_other_data_is_not_placed(table, tmp_path):
    write_manifest(tmp_path, recipe={"seed": 3}, split_hash=Split.of(table, seed=3).hash)
    assert split_of_checkpoint(table.iloc[:-2], tmp_path) is None
    assert split_of_checkpoint(table.assign(image_id="X" + table["image_id"]), tmp_path) is None


@pytest.mark.parametrize("recipe", [{}, {"seed": None}, {"seed": 4}])
def test_a_split_made_by_another_rule_is_not_guessed(table, tmp_path, recipe):
    write_manifest(tmp_path, recipe=recipe, split_hash=Split.of(table, seed=3).hash)
    assert split_of_checkpoint(table, tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_manifest_that_cannot_be_read_is_refused_by_name(table, tmp_path, content):
    (tmp_path / "lesionlens.json").write_text(content, encoding="utf-8")
    with pytest.raises(BrokenCheckpoint, match=r"lesionlens\.json"):
        split_of_checkpoint(table, tmp_path)


@pytest.mark.real_data
def test_the_bundled_checkpoints_split_of_ham10000_is_found(ham10000_folder):
    placed = split_of_checkpoint(
        read_dataset(ham10000_folder), BUNDLED_FOLDER / "checkpoints" / "lesionlens-lite0"
    )
    assert placed is not None
    assert placed.value_counts().to_dict() == {"train": 8006, "val": 1006, "test": 1003}
