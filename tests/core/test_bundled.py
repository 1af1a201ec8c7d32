"""What comes with the app must work on the first start, and say of itself only what was measured."""

from pathlib import Path

import numpy as np
import pytest

from core.data.pictures import read_picture
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import draw_lesion
from core.evaluate.artifact import Evaluation, probabilities_of, truth_of
from core.evaluate.metrics import at_balanced_prior
from core.labels import BY_CODE
from core.models.card import model_card
from core.models.catalog import BUNDLED_FOLDER, bundled_names, catalog, folder_of
from core.models.checkpoint import CARD_FILE, load_checkpoint, read_manifest
from core.predict.calibration import choose_prior_power
from core.settings import settings

BUNDLED = bundled_names()
LARGEST_MB = 30
LEAK = 0.90


def test_the_default_checkpoint_is_bundled_and_first_in_the_catalog():
    assert str(catalog()[0].reference) == settings().default_checkpoint
    assert catalog()[0].reference.name in BUNDLED


@pytest.mark.parametrize("entry", catalog(), ids=lambda entry: str(entry.reference))
def test_every_bundled_checkpoint_of_the_catalog_is_here(entry):
    if entry.reference.kind == "bundled":
        assert folder_of(entry.reference).is_dir()


def test_everything_bundled_fits_into_its_allowance():
    size = sum(path.stat().st_size for path in BUNDLED_FOLDER.rglob("*") if path.is_file())
    assert size < LARGEST_MB * 1024**2


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_checkpoint_loads_and_tells_a_drawn_lesion_from_nothing(name):
    from core.data.facts import Facts
    from core.predict.predictor import answer, look

    checkpoint = load_checkpoint(BUNDLED_FOLDER / "checkpoints" / name)
    blank = answer(checkpoint, look(checkpoint, np.full((300, 400, 3), 128, np.uint8)), Facts())
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    assert not blank.unknown.known
    assert not answer(checkpoint, look(checkpoint, noise), Facts()).unknown.known
    drawn = answer(checkpoint, look(checkpoint, draw_lesion(0, kind="nv")), Facts())
    assert drawn.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_checkpoint_says_what_its_evaluation_measured(name):
    manifest = read_manifest(BUNDLED_FOLDER / "checkpoints" / name)
    evaluation = Evaluation.load(BUNDLED_FOLDER / "evaluations" / name)
    assert evaluation.checkpoint == f"bundled:{name}"
    assert evaluation.split == "test"
    assert evaluation.split_hash == manifest.split_hash
    assert set(evaluation.metrics) == set(manifest.metrics)
    for metric, interval in evaluation.metrics.items():
        assert manifest.metrics[metric]["value"] == pytest.approx(interval.value, nan_ok=True)
        assert manifest.metrics[metric]["n_images"] == interval.n


@pytest.mark.parametrize("name", BUNDLED)
def test_the_balanced_prior_of_a_bundled_checkpoint_is_what_its_answers_ask_for(name):
    manifest = read_manifest(BUNDLED_FOLDER / "checkpoints" / name)
    evaluation = Evaluation.load(BUNDLED_FOLDER / "evaluations" / name)
    frequencies = np.array(manifest.class_frequencies)
    val = evaluation.val
    assert manifest.balanced_power == choose_prior_power(probabilities_of(val), truth_of(val), frequencies)
    metric = at_balanced_prior(frequencies, manifest.balanced_power)
    value = metric(truth_of(evaluation.table), probabilities_of(evaluation.table))
    assert evaluation.metrics[metric.name].value == pytest.approx(value)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_card_of_a_bundled_checkpoint_is_what_its_manifest_says(name):
    folder = BUNDLED_FOLDER / "checkpoints" / name
    assert (folder / CARD_FILE).read_text(encoding="utf-8") == model_card(read_manifest(folder))


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_checkpoint_is_not_too_good_to_be_true(name):
    metrics = read_manifest(BUNDLED_FOLDER / "checkpoints" / name).metrics
    assert metrics["accuracy"]["value"] < LEAK
    assert metrics["balanced_accuracy"]["value"] < LEAK


@pytest.mark.parametrize("name", BUNDLED)
def test_the_card_of_a_bundled_checkpoint_gives_licence_attribution_and_limits(name):
    card = (BUNDLED_FOLDER / "checkpoints" / name / "README.md").read_text(encoding="utf-8")
    for needed in ("cc-by-nc-4.0", "ViDIR Group", "Not a medical device", "## Limits"):
        assert needed in card


@pytest.mark.parametrize("name", BUNDLED)
def test_nothing_bundled_names_a_path_of_the_machine_it_was_trained_on(name):
    for file in BUNDLED_FOLDER.rglob("*.json*"):
        assert str(Path.home()) not in file.read_text(encoding="utf-8"), file
    assert read_manifest(BUNDLED_FOLDER / "checkpoints" / name).recipe


@pytest.mark.real_data
@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_checkpoint_answers_test_pictures_as_its_evaluation_says(name, ham10000_folder):
    from core.data.facts import Facts
    from core.predict.predictor import answer, look

    checkpoint = load_checkpoint(BUNDLED_FOLDER / "checkpoints" / name)
    evaluation = Evaluation.load(BUNDLED_FOLDER / "evaluations" / name)
    metadata = read_dataset(ham10000_folder).set_index("image_id")
    for position in range(0, evaluation.n_images, evaluation.n_images // 12):
        row = evaluation.table.iloc[position]
        picture = read_picture(Path(metadata.loc[row["image_id"], "image_path"]), name=row["image_id"])
        facts = Facts(
            None if np.isnan(row["age_years"]) else float(row["age_years"]),
            row["sex"] if isinstance(row["sex"], str) else None,
            row["site"] if isinstance(row["site"], str) else None,
        )
        prediction = answer(checkpoint, look(checkpoint, picture.pixels), facts)
        stored = evaluation.probabilities[position]
        assert np.abs(prediction.probabilities - stored).max() < 0.01, row["image_id"]


@pytest.mark.real_data
@pytest.mark.parametrize("name", BUNDLED)
def test_no_test_lesion_of_a_bundled_checkpoint_was_trained_on(name, ham10000_folder):
    evaluation = Evaluation.load(BUNDLED_FOLDER / "evaluations" / name)
    metadata = read_dataset(ham10000_folder)
    split = Split.of(metadata, seed=0)
    assert split.hash == evaluation.split_hash
    parts = split.table.groupby("group")["split"].nunique()
    assert parts.max() == 1
    assert set(split.of_images(evaluation.table["image_id"])) == {"test"}
    assert set(evaluation.table["dx"]) == set(BY_CODE)
