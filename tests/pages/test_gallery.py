"""The gallery: every chosen lesion on a page, its order and its open picture in the address."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core import jobs
from core.data.readers import read_dataset
from core.data.synthetic import make_dataset
from core.labels import BY_CODE
from core.predict.features import compute_features
from core.settings import settings
from pages.ui import placing
from pages.ui.explore import datasets, gallery, looking, picture
from tests.pages.checkpoints import write_checkpoint
from tests.pages.reading import said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small synthetic dataset whose first picture has a lesion mask and whose last one is broken."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "set", images_per_class=5, seed=1)
    table = read_dataset(folder)
    mask = np.zeros((45, 60), dtype=np.uint8)
    mask[10:30, 20:40] = 255
    (folder / "masks").mkdir()
    Image.fromarray(mask).save(folder / "masks" / f"{table['image_id'].iloc[0]}_segmentation.png")
    Path(table["image_path"].iloc[-1]).write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "untrained")


@pytest.fixture
def table(folder):
    return read_dataset(folder)


@pytest.fixture(autouse=True)
def forget():
    """Let no test see the features or averages of another one."""
    yield
    for function in (datasets._opened, looking._features, looking._likenesses, placing._split, looking.masks):
        function.clear()
    gallery._quick_averages.clear()


@pytest.fixture
def explore(open_page, folder, untrained, monkeypatch):
    """Return a function that opens the gallery of the dataset with query parameters."""
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"local:{untrained}")
    settings.cache_clear()

    def explore(**query):
        app = open_page("Explore", **{"view": "Gallery"} | query)
        assert not app.exception, [problem.message for problem in app.exception]
        return app

    return explore


@pytest.fixture
def drawn(monkeypatch):
    """Return the groups of pictures that the page draws, by the key of their component."""
    found = {}
    original = gallery.tiles.draw

    def draw(groups, *, key, **options):
        found[key] = groups
        original(groups, key=key, **options)

    monkeypatch.setattr(gallery.tiles, "draw", draw)
    return found


def ids(groups):
    return [name for group in groups for name in group.rows["image_id"]]


def test_the_first_page_shows_lesions_with_all_their_pictures(explore, drawn, table):
    explore()
    shown = drawn["explore_tiles"]
    assert 1 < len(shown) <= 24
    for group in shown:
        lesion = group.rows["lesion_id"].unique()
        assert len(lesion) == 1
        assert len(group.rows) == (table["lesion_id"] == lesion[0]).sum()


def test_the_pages_together_show_every_picture_once(explore, drawn, table):
    shown = []
    for page in ("1", "2"):
        explore(explore_page=page)
        shown += ids(drawn["explore_tiles"])
    assert sorted(shown) == sorted(table["image_id"])


@pytest.mark.parametrize(("page", "number"), [("99", 2), ("0", 1), ("-1", 1), ("x", 1), ("9" * 5000, 2)])
def test_a_page_that_does_not_exist_becomes_one_that_does(explore, page, number):
    assert f"page {number} of 2" in said(explore(explore_page=page), "caption")


def test_the_gallery_follows_the_filter(explore, drawn, table):
    app = explore(dx="mel")
    assert sorted(ids(drawn["explore_tiles"])) == sorted(table.loc[table["dx"] == "mel", "image_id"])
    assert f"{(table['dx'] == 'mel').sum()} pictures" in said(app, "caption")


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
def test_the_address_sorts(explore, drawn, order):
    explore(explore_sort="Age", explore_order=order)
    ages = [group.rows["age_years"].iloc[0] for group in drawn["explore_tiles"]]
    known = [age for age in ages if not np.isnan(age)]
    assert known == sorted(known, reverse=order == "Descending")


def test_a_broken_picture_is_said_and_the_others_are_there(explore, table):
    last = table["image_id"].iloc[-1]
    with pytest.MonkeyPatch.context() as patch:
        sent = {}
        patch.setattr(gallery.tiles, "_TILES", lambda **options: sent.update(options["data"]))
        explore(images=f"{last},{table['image_id'].iloc[0]}")
    pictures = {one["id"]: one for lesion in sent["lesions"] for one in lesion["pictures"]}
    assert pictures[last]["src"] == ""
    assert f"{last}" in pictures[last]["alt"]
    first = pictures[table["image_id"].iloc[0]]
    assert first["src"].startswith("data:image/jpeg;base64,")
    assert BY_CODE[table["dx"].iloc[0]].name in first["alt"]


def test_the_outline_is_offered_where_there_are_masks_and_lives_in_the_address(explore):
    app = explore(explore_outline="true")
    assert app.toggle(key="explore_outline").value is True


def test_the_address_opens_a_picture_with_its_facts_and_its_siblings(explore, drawn, table):
    sizes = table.groupby("lesion_id").size()
    lesion = sizes[sizes > 1].index[0]
    rows = table[table["lesion_id"] == lesion]
    app = explore(explore_open=rows["image_id"].iloc[0])
    words = said(app)
    assert rows["image_id"].iloc[0] in words
    assert BY_CODE[rows["dx"].iloc[0]].name in words
    assert f"{len(rows)} photos of this lesion" in words
    (siblings,) = drawn["explore_siblings"]
    assert sorted(ids([siblings])) == sorted(rows["image_id"])
    assert siblings.marked == rows["image_id"].iloc[0]


def test_a_picture_asks_the_model_with_its_recorded_facts(explore, table):
    row = table.dropna(subset=["age_years", "sex", "site"]).iloc[0]
    app = explore(explore_open=row["image_id"], reader="ML")
    (link,) = [one for one in app.get("page_link") if one.proto.label == "Ask the model"]
    query = dict(part.split("=") for part in link.proto.query_string.split("&"))
    assert query["picture"] == "dataset"
    assert query["image_id"] == row["image_id"]
    assert query["patient_age"] == f"{row['age_years']:.0f}"
    assert query["reader"] == "ML"


def test_the_dialog_goes_through_the_gallery_in_its_order(explore, drawn, table):
    app = explore(explore_sort="Age", explore_order="Descending")
    order = [name for group in drawn["explore_tiles"] for name in group.rows["image_id"]]
    app = explore(explore_sort="Age", explore_order="Descending", explore_open=order[0])
    assert app.button(key="explore_previous").disabled
    app.button(key="explore_next").click().run()
    assert not app.exception
    assert app.query_params["explore_open"] == order[1]


def test_a_picture_that_the_dataset_does_not_have_is_said(explore):
    app = explore(explore_open="ISIC_9999999")
    assert "ISIC_9999999" in said(app, "warning")
    assert "explore_open" not in app.query_params


def test_an_untrusted_name_in_the_address_is_no_markdown(explore):
    app = explore(explore_open="![x](http://elsewhere/x.png)")
    assert any("\\!\\[x\\]" in warning.value for warning in app.warning)


def test_a_broken_picture_opens_with_the_reason(explore, table):
    app = explore(explore_open=table["image_id"].iloc[-1])
    assert table["image_id"].iloc[-1] in said(app, "error")


def test_data_that_the_checkpoint_was_not_trained_on_is_said_to_be(explore, table):
    app = explore(explore_open=table["image_id"].iloc[0])
    assert "trained on other data" in said(app, "caption")


def test_likeness_asks_for_features_before_it_sorts(explore, table):
    first = table["image_id"].iloc[0]
    app = explore(explore_sort="Likeness", explore_like=first)
    assert f"Look at {len(table):,} pictures" in [button.label for button in app.button]
    assert "pictures of" in said(app, "caption"), "the gallery is there meanwhile"


def test_likeness_sorts_by_features_and_says_how_alike(explore, drawn, table, untrained):
    by = looking_extractor(untrained)
    found = compute_features(table, by, cache_dir=settings().cache_dir)
    first = table["image_id"].iloc[0]
    app = explore(explore_sort="Likeness", explore_like=first)
    shown = drawn["explore_tiles"]
    assert ids(shown)[0] == first
    assert shown[0].notes[first] == "1.00"
    assert list(found.unreadable) == [table["image_id"].iloc[-1]]
    assert "cosine" in said(app, "caption")


def test_a_picture_shows_what_looks_alike_from_other_lesions(explore, drawn, table, untrained):
    compute_features(table, looking_extractor(untrained), cache_dir=settings().cache_dir)
    row = table.iloc[0]
    app = explore(explore_open=row["image_id"])
    near = pd.concat([group.rows for group in drawn["explore_neighbours"]])
    assert len(near) == 6
    assert near["lesion_id"].is_unique
    assert row["lesion_id"] not in set(near["lesion_id"])
    same = (near["dx"] == row["dx"]).sum()
    assert f"{same} of 6 have the same diagnosis" in said(app, "caption")


def looking_extractor(folder):
    from core.predict.features import checkpoint_extractor

    return checkpoint_extractor(folder, f"local:{folder}")


def test_find_similar_turns_the_gallery_to_likeness(explore, table):
    first = table["image_id"].iloc[0]
    app = explore(explore_open=first)
    app.button(key="explore_similar").click().run()
    assert not app.exception
    assert app.query_params["explore_like"] == first
    assert "explore_open" not in app.query_params
    assert app.selectbox(key="explore_sort").value == "likeness"


def test_likeness_to_nothing_is_no_order(explore):
    app = explore(explore_sort="Likeness")
    assert app.selectbox(key="explore_sort").value == "image_id"


def test_each_diagnosis_shows_its_montage_mean_and_variability_with_n(explore, table):
    app = explore(explore_show="Diagnoses")
    assert len(app.main.header) == 7
    words = said(app, "caption")
    for code, rows in table.groupby("dx"):
        readable = len(rows) - (code == table["dx"].iloc[-1])
        assert f"{readable} pictures of" in words


def test_a_large_choice_is_averaged_by_a_job_when_asked(explore, table, monkeypatch):
    monkeypatch.setattr(gallery, "_QUICK_AVERAGE", 2)
    app = explore(explore_show="Diagnoses", dx="nv")
    (start,) = [button for button in app.button if button.label.startswith("Average all")]
    assert "Mean and variability of 2 pictures" in said(app, "caption")
    start.click().run()
    (job,) = [job for key, job in jobs._JOBS.items() if key.startswith("averages:")]
    assert job.wait(60) == "done"
    app.run()
    assert f"Mean and variability of {(table['dx'] == 'nv').sum()} pictures" in said(app, "caption")


def test_an_empty_choice_says_so(explore):
    app = explore(dx="mel", ages="119-120")
    assert not app.exception
    assert picture.OPEN not in app.query_params


def test_a_huge_picture_is_kept_no_larger_than_a_dialog_shows(tmp_path):
    file = tmp_path / "huge.jpg"
    Image.new("RGB", (5000, 3000), (200, 100, 90)).save(file)
    kept = picture._large(str(file))
    assert kept.shape == (960, picture.LARGE_PX, 3)
    assert kept.nbytes <= 3 * picture.LARGE_PX**2
