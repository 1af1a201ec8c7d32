"""The map: every picture in its place, coloured by any column, and no pick that is not a point."""

import base64

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.data.facets import TITLES, Facets
from core.data.readers import read_dataset
from core.data.selection import Selection
from core.data.synthetic import make_dataset
from core.jobs import silent
from core.predict.features import Features, checkpoint_extractor, compute_features
from core.settings import settings
from core.words import READERS
from pages.ui import placing
from pages.ui.explore import datasets, looking
from pages.ui.explore import map as map_view
from pages.ui.explore.datasets import Dataset
from pages.ui.explore.explored import Explored
from tests.pages.checkpoints import write_checkpoint
from tests.pages.reading import said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data") / "set", images_per_class=4, seed=1)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "untrained")


@pytest.fixture(autouse=True)
def forget():
    """Let no test see the features of another one."""
    yield
    for function in (datasets._opened, looking._features, looking._projected, placing._split, looking.masks):
        function.clear()


@pytest.fixture
def dataset(folder):
    return Dataset("a set", "folder", read_dataset(folder), folder)


@pytest.fixture
def features(dataset):
    """Five features a picture; the first picture could not be read."""
    ids = tuple(dataset.table["image_id"])
    values = np.random.default_rng(0).normal(size=(len(ids), 5)).astype(np.float16)
    values[0] = np.nan
    return Features(values, ids, {ids[0]: "it is cut off"}, "five numbers")


@pytest.fixture
def projected(features):
    return map_view.PROJECTIONS["pca"].function(features.values, silent)


def explored(dataset, selection=None):
    selection = selection or Selection()
    chosen = dataset.table[selection.mask(dataset.table)]
    return Explored(dataset, selection, chosen, "images", next(iter(READERS.values())))


def places(points):
    return np.frombuffer(base64.b64decode(points.data["places"]), dtype="<u2").reshape(-1, 2)


@pytest.mark.parametrize("column", TITLES)
def test_every_picture_with_features_has_one_point_whatever_colours_it(dataset, features, projected, column):
    points = map_view.arrange(explored(dataset), features, projected, column)
    assert sorted(points.rows.tolist()) == list(range(1, len(dataset.table)))
    assert points.active == len(points.rows)
    codes = np.frombuffer(base64.b64decode(points.data["colours"]), dtype=np.uint8)
    assert np.array_equal(codes, Facets.of(dataset.table).columns[column].codes[points.rows])
    assert len(points.data["palette"]) > codes.max()
    notes = [int(entry["note"].replace(",", "")) for entry in points.data["legend"]]
    assert sum(notes) == points.active


def test_points_lie_where_the_projection_puts_them(dataset, features, projected):
    points = map_view.arrange(explored(dataset), features, projected, "dx")
    drawn = places(points) / 65535
    wanted = projected.points[points.rows]
    low, high = wanted.min(axis=0), wanted.max(axis=0)
    assert np.allclose(drawn * (high - low) + low, wanted, atol=1e-3)


def test_points_outside_the_filter_stay_and_come_first(dataset, features, projected):
    selection = Selection().only("dx", ["mel", "nv"])
    points = map_view.arrange(explored(dataset, selection), features, projected, "dx")
    passes = dataset.table["dx"].isin(["mel", "nv"]).to_numpy()[points.rows]
    assert points.active == passes.sum() > 0
    assert passes[-points.active :].all()
    assert not passes[: -points.active].any()
    assert len(points.rows) == len(dataset.table) - 1


def test_rare_colours_lie_on_top(dataset, features, projected):
    keep = (dataset.table["dx"] != "df") | (dataset.table.groupby("dx").cumcount() == 0)
    chosen = Explored(dataset, Selection(), dataset.table[keep], "images", next(iter(READERS.values())))
    points = map_view.arrange(chosen, features, projected, "dx")
    assert dataset.table["dx"].iloc[points.rows[-1]] == "df"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "text",
        {},
        {"key": "another map", "rows": [1]},
        {"key": "KEY", "rows": "1"},
        {"key": "KEY", "rows": [-1, 10_000, "2", None, 1.5]},
    ],
)
def test_what_is_no_point_of_this_map_is_no_pick(dataset, features, projected, sent):
    points = map_view.arrange(explored(dataset), features, projected, "dx")
    if isinstance(sent, dict) and sent.get("key") == "KEY":
        sent = sent | {"key": points.data["key"]}
    assert map_view._rows(points, sent) == []


def test_a_pick_names_the_pictures_of_its_points(dataset, features, projected):
    points = map_view.arrange(explored(dataset), features, projected, "dx")
    named = map_view._ids(dataset, points, {"key": points.data["key"], "rows": [0, 3]})
    assert named == dataset.table["image_id"].iloc[points.rows[[0, 3]]].tolist()


def test_another_filter_is_another_map(dataset, features, projected):
    whole = map_view.arrange(explored(dataset), features, projected, "dx")
    part = map_view.arrange(explored(dataset, Selection().only("dx", ["mel"])), features, projected, "dx")
    assert whole.data["key"] != part.data["key"]


def test_hover_pictures_carry_their_facts(dataset):
    (one,) = map_view._pictures(dataset.table.iloc[[2]])
    assert one["src"].startswith("data:image/jpeg;base64,")
    assert dataset.table["image_id"].iloc[2] in one["lines"]


@pytest.fixture
def explore(open_page, folder, untrained, monkeypatch):
    """Return a function that opens the map of the dataset with query parameters."""
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"local:{untrained}")
    settings.cache_clear()

    def explore(**query) -> AppTest:
        app = open_page("Explore", **{"view": "Map"} | query)
        assert not app.exception, [problem.message for problem in app.exception]
        return app

    return explore


@pytest.fixture
def sent(monkeypatch):
    """Return what the map's component is given."""
    found = {}
    original = map_view._MAP

    def component(**options):
        found.update(options["data"])
        return original(**options)

    monkeypatch.setattr(map_view, "_MAP", component)
    return found


def test_the_map_asks_for_a_look_at_the_pictures_and_appears_after_it(explore, sent, dataset):
    app = explore()
    (start,) = [one for one in app.button if one.label == f"Look at {len(dataset.table)} pictures"]
    start.click().run()
    (job,) = [
        job for key, job in jobs._JOBS.items() if key.startswith("features:") and str(dataset.folder) in key
    ]
    assert job.wait(120) == "done"
    app.run()
    assert not app.exception
    assert sent["active"] == len(dataset.table)
    assert f"n = {len(dataset.table)}" in said(app, "caption")


def test_the_map_says_that_umap_is_an_optional_extra_where_it_is_not(explore, sent, dataset, untrained):
    by = checkpoint_extractor(untrained, f"local:{untrained}")
    compute_features(dataset.table, by, cache_dir=settings().cache_dir)
    app = explore(explore_colour="Sex", dx="mel")
    assert sent["active"] == (dataset.table["dx"] == "mel").sum()
    assert {entry["name"] for entry in sent["legend"]} <= {"female", "male", "unknown"}
    absent = not map_view.PROJECTIONS["umap"].is_here
    assert ("pip install umap-learn" in said(app, "caption")) == absent
