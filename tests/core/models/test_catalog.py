"""The catalog offers real references, and each leads to a folder that holds a checkpoint or to a clear no."""

import subprocess
import sys

import pytest

from core.errors import UnknownReference
from core.evaluate.gathering import weights_folder
from core.models import catalog as catalog_module
from core.models.catalog import CATALOG_FILE, CHECKPOINTS_FOLDER, bundled_names, catalog, folder_of
from core.models.reference import Reference, parse_reference
from core.settings import settings


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Return a folder that stands for core/bundled/checkpoints, with two whole checkpoints and a half one."""
    for name in ("lite0", "large"):
        (tmp_path / "bundle" / name).mkdir(parents=True)
        (tmp_path / "bundle" / name / "lesionlens.json").write_text("{}")
    (tmp_path / "bundle" / "half").mkdir()
    monkeypatch.setattr(catalog_module, "CHECKPOINTS_FOLDER", tmp_path / "bundle")
    return tmp_path / "bundle"


def test_the_first_checkpoint_on_offer_is_the_default_one():
    first = catalog()[0]
    assert str(first.reference) == settings().default_checkpoint == "bundled:lesionlens-lite0"
    assert first.title == "LesionLens Lite0"


def test_checkpoints_on_offer_are_named_once_and_described():
    references = [entry.reference for entry in catalog()]
    assert len(set(references)) == len(references) >= 1
    assert all(entry.title and entry.about.endswith(".") for entry in catalog())


def test_the_catalog_lies_beside_the_checkpoints_it_offers():
    assert CATALOG_FILE.parent == CHECKPOINTS_FOLDER.parent


def test_a_bundled_checkpoint_is_found_by_its_name(bundle):
    assert bundled_names() == ("large", "lite0")
    assert folder_of(parse_reference("bundled:lite0")) == bundle / "lite0"


@pytest.mark.parametrize("name", ["lite1", "half", "LITE0"])
def test_an_unknown_bundled_name_is_answered_with_what_is_there(name, bundle):
    with pytest.raises(
        UnknownReference, match=rf"No checkpoint named '{name}'.* bundled are: large, lite0\."
    ):
        folder_of(Reference("bundled", name))


def test_a_local_checkpoint_is_found_by_its_folder(bundle, monkeypatch):
    assert folder_of(Reference("local", str(bundle / "lite0"))) == bundle / "lite0"
    monkeypatch.chdir(bundle)
    assert folder_of(parse_reference("local:lite0")) == bundle / "lite0"
    monkeypatch.setenv("HOME", str(bundle))
    assert folder_of(parse_reference("local:~/lite0")) == bundle / "lite0"


def test_a_local_folder_without_a_checkpoint_is_refused_by_name(bundle):
    with pytest.raises(UnknownReference, match=r"half holds no checkpoint: lesionlens\.json is missing"):
        folder_of(Reference("local", str(bundle / "half")))
    with pytest.raises(UnknownReference, match=r"There is no folder .*nowhere"):
        folder_of(Reference("local", str(bundle / "nowhere")))
    with pytest.raises(UnknownReference, match="There is no folder"):
        folder_of(Reference("local", str(bundle / "lite0" / "lesionlens.json")))


def test_a_checkpoint_of_a_run_is_found_by_the_runs_name_and_refused_without_a_path():
    folder = settings().runs_dir / "mine" / "checkpoint"
    with pytest.raises(UnknownReference, match="Run 'mine' has left no checkpoint") as refused:
        folder_of(parse_reference("run:mine"))
    assert str(settings().runs_dir) not in str(refused.value)
    folder.mkdir(parents=True)
    (folder / "lesionlens.json").write_text("{}")
    assert folder_of(parse_reference("run:mine")) == folder == weights_folder("run:mine")
    assert weights_folder("run:other") is weights_folder("run:../mine") is None


def test_the_catalog_is_read_without_the_hubs_client(app_root):
    script = (
        "import sys; from core.models.catalog import catalog; catalog(); "
        "sys.exit('huggingface_hub' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=app_root, check=True, timeout=60)
