"""An evaluation from the Hub is of the commit that it came with, whatever it says of itself."""

import pytest

from core.evaluate.gathering import read_evaluation, weights_folder
from core.models import kept
from core.settings import settings
from tests.core.evaluate.making import make_evaluation

REPO = "clinic/lesions"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A cache with two commits of a checkpoint; its main branch is the newer."""
    monkeypatch.setenv("LESIONLENS_CACHE", str(tmp_path))
    settings.cache_clear()
    storage = kept.storage_of(REPO, kept.hub_folder())
    for commit in (OLD, NEW):
        snapshot = storage / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for name in ("config.json", "model.safetensors", "lesionlens.json"):
            (snapshot / name).write_bytes(b"{}")
    (storage / "refs").mkdir()
    (storage / "refs" / "main").write_text(NEW)
    yield storage
    settings.cache_clear()


@pytest.mark.parametrize("claimed", [f"hf:{REPO}", "bundled:lesionlens-lite0", "local:/somewhere"])
def test_what_was_pulled_is_of_its_own_commit(hub_cache, claimed):
    snapshot = hub_cache / "snapshots" / OLD
    make_evaluation(checkpoint=claimed).save(snapshot / "evaluation")
    evaluation = read_evaluation(snapshot / "evaluation")
    assert evaluation.checkpoint == f"hf:{REPO}@{OLD}"
    assert weights_folder(evaluation.checkpoint) == snapshot


def test_what_was_measured_here_keeps_its_checkpoint(hub_cache, tmp_path):
    make_evaluation(checkpoint="local:run/checkpoint").save(tmp_path / "run" / "evaluation")
    assert read_evaluation(tmp_path / "run" / "evaluation").checkpoint == "local:run/checkpoint"
