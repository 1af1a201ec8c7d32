"""The Quality view: nothing is measured unasked, each part by its address, percentiles and never verdicts."""

import shutil

import pandas as pd
import pytest

from core import jobs
from core.data.inspection import inspect_pictures
from core.data.readers import read_dataset
from core.data.scenes import find_scenes
from core.data.synthetic import make_dataset
from core.errors import LesionLensError
from core.settings import settings
from pages.ui.explore import assurance, datasets, examined, labels, looking, measures, pairs, quality
from tests.pages.reading import said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small synthetic dataset with a broken picture and a copy of one under another lesion id."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "set", images_per_class=6, seed=1)
    table = read_dataset(folder)
    first = table.iloc[0]
    other = table[(table["dx"] == first["dx"]) & (table["lesion_id"] != first["lesion_id"])].iloc[0]
    shutil.copy(first["image_path"], other["image_path"])
    with open(table["image_path"].iloc[-1], "wb") as file:  # noqa: PTH123 -- a string from the table
        file.write(b"nothing")
    return folder


@pytest.fixture
def table(folder):
    return read_dataset(folder)


@pytest.fixture(autouse=True)
def forget():
    """Let no test see what another one has measured."""
    yield
    for function in (
        datasets._opened,
        examined._stored_inspection,
        examined._stored_scenes,
        examined._described,
        assurance._assured,
        looking.masks,
    ):
        function.clear()
    for key in list(jobs._JOBS):
        jobs.forget(key)


@pytest.fixture
def explore(open_page, folder, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    settings.cache_clear()

    def explore(part, **query):
        app = open_page("Explore", **{"view": "Quality", "explore_quality": part} | query)
        assert not app.exception, [problem.message for problem in app.exception]
        return app

    return explore


@pytest.fixture
def looked(table):
    """What one look at each picture finds, done before the page asks."""
    return lambda: inspect_pictures(table, cache_dir=settings().cache_dir, workers=2)


@pytest.fixture
def drawn(monkeypatch):
    """Return the groups of pictures that the page draws, by the key of their component."""
    found = {}
    original = quality.measures.tiles.draw

    def draw(groups, *, key, **options):
        found[key] = groups
        original(groups, key=key, **options)

    monkeypatch.setattr(quality.measures.tiles, "draw", draw)
    return found


def ids(groups):
    return [name for group in groups for name in group.rows["image_id"]]


@pytest.mark.parametrize("part", quality.SHOWS)
def test_every_part_opens_by_its_address_and_asks_before_it_measures(explore, part):
    app = explore(part)
    assert app.session_state["explore_quality"] == part
    assert any(button.label.startswith(("Measure", "Rank")) for button in app.button)
    assert not app.error


def test_pictures_are_measured_by_a_button_and_shown_when_it_is_done(explore, drawn, table):
    app = explore("Pictures")
    next(button for button in app.button if button.label.startswith("Measure")).click().run()
    (job,) = [job for key, job in jobs._JOBS.items() if key.startswith("inspect:")]
    assert job.wait(60) == "done"
    app.run()
    assert not app.exception
    assert "1 of 42 picture files cannot be read" in "".join(part.label for part in app.expander)
    assert f"Half of the {len(table) - 1} chosen pictures lie below" in said(app, "markdown")
    assert len(ids(drawn["explore_ladder_sharpness"])) == len(measures._LADDER)


@pytest.mark.parametrize("measure", measures.MEASURES)
def test_every_measure_opens_by_its_address(explore, looked, drawn, measure):
    found = looked()
    app = explore("Pictures", explore_measure=measures.MEASURES[measure].title)
    assert app.session_state["explore_measure"] == measure
    values = found[measure].dropna()
    if values.min() < values.max():
        shown = ids(drawn[f"explore_end_tiles_{measure}"])
        end = values.sort_values(ascending=measures.MEASURES[measure].doubtful != "high", kind="stable")
        assert shown == end.index[: examined.SHOWN].tolist()
    else:
        assert "nothing to sort by" in said(app, "caption")


def test_the_other_end_is_shown_when_it_is_asked_for(explore, looked, drawn):
    found = looked()
    explore("Pictures", explore_end_sharpness="The highest: sharp")
    assert ids(drawn["explore_end_tiles_sharpness"])[0] == found["sharpness"].idxmax()


def test_the_outermost_pictures_can_become_the_filter(explore, looked):
    found = looked()
    app = explore("Pictures")
    app.button(key="explore_end_filter").click().run()
    assert not app.exception
    lowest = found["sharpness"].nsmallest(2).index
    assert app.query_params["images"] == ",".join(sorted(lowest))
    assert "2 chosen pictures" in said(app, "markdown")


def test_pictures_follow_the_filter(explore, looked, drawn, table):
    looked()
    explore("Pictures", dx="mel")
    melanomas = set(table.loc[table["dx"] == "mel", "image_id"])
    assert set(ids(drawn["explore_ladder_sharpness"])) <= melanomas
    assert set(ids(drawn["explore_end_tiles_sharpness"])) <= melanomas


def test_a_filter_without_measured_pictures_is_said(explore, looked, table):
    looked()
    app = explore("Pictures", images=str(table["image_id"].iloc[-1]))
    assert "undefined for all chosen pictures" in said(app, "info")


def test_a_copy_under_another_lesion_id_is_shown_with_both_ids(explore, looked, drawn, table):
    looked()
    app = explore("Duplicates")
    assert "1 pair with the same pixels" in said(app, "markdown")
    first = table.iloc[0]
    # A sibling of the copied picture may be a near copy of the copy; the surest pair comes first.
    group = drawn["explore_pair_tiles"][0]
    assert first["image_id"] in ids([group])
    assert first["lesion_id"] in " ".join(group.lines)
    assert "same file" in group.lines
    # The search for the same spot is offered, not begun.
    assert any(button.label.startswith("Look for the same spot") for button in app.button)
    assert not any(key.startswith("scenes:") for key in jobs._JOBS)


def test_the_same_spot_is_told_once_it_was_looked_for(explore, looked, table):
    looked()
    find_scenes(table, cache_dir=settings().cache_dir)
    app = explore("Duplicates", explore_pairs="All")
    assert "may show the same spot" in said(app, "markdown")
    assert not any(button.label.startswith("Look for the same spot") for button in app.button)


@pytest.mark.parametrize("which", pairs._WHICH.values())
def test_every_choice_of_pairs_opens_by_its_address(explore, looked, which):
    looked()
    app = explore("Duplicates", explore_pairs=which)
    assert pairs._WHICH[app.session_state["explore_pairs"]] == which


def test_labels_are_ranked_by_a_button(explore, drawn, monkeypatch, table):
    ranked = pd.DataFrame(
        {
            "image_id": table["image_id"], "lesion_id": table["lesion_id"], "dx": table["dx"],
            "dx_type": table["dx_type"], "p_label": 0.1, "suggested": "nv", "p_suggested": 0.8,
            "score": 0.2, "issue": [True] * 5 + [False] * (len(table) - 5),
        }
    )  # fmt: skip
    # The network is the features' business; here the page is.
    monkeypatch.setattr(labels, "_rank", lambda _table, _by, _report: ranked)
    app = explore("Labels")
    next(button for button in app.button if button.label == "Rank the labels").click().run()
    (job,) = [job for key, job in jobs._JOBS.items() if key.startswith("suspects:")]
    assert job.wait(60) == "done"
    app.run()
    assert not app.exception
    assert ids(drawn["explore_suspect_tiles"]) == table["image_id"].head(examined.SHOWN).tolist()
    assert "5 as worth a look" in said(app, "markdown")
    # Words of a ranking, never of a verdict.
    assert "where to look first" in said(app, "markdown")
    app.query_params["dx"] = "vasc"
    app.run()
    assert {group.title for group in drawn["explore_suspect_tiles"]} == {"Vascular lesion"}


def test_missing_weights_are_said_and_the_page_lives(explore, monkeypatch):
    def missing():
        raise LesionLensError("Label-free features need the package x; pip install x.")

    monkeypatch.setattr(labels, "imagenet_extractor", missing)
    app = explore("Labels")
    assert "pip install x" in said(app, "error")


@pytest.mark.parametrize("part", ["Training", "Validation", "Test"])
def test_every_part_of_the_split_is_checked_by_its_address(explore, part):
    app = explore("Test data", explore_part=part)
    assert said(app, "markdown").count("-badge[") >= 6
    assert f"{part}: " in said(app, "markdown")
    assert "none is a verdict" in said(app, "markdown")
    assert [button.label for button in app.get("download_button")] == ["Report as Markdown", "Counts as CSV"]


def test_the_test_data_report_learns_from_the_look_at_the_pictures(explore, looked):
    before = said(explore("Test data", explore_part="Training"), "markdown")
    looked()
    examined._stored_inspection.clear()
    after = said(explore("Test data", explore_part="Training"), "markdown")
    assert "Not measured" in before
    assert "Not measured" not in after


def test_facts_alone_are_sent_to_where_pictures_are(open_page):
    app = open_page("Explore", view="Quality")
    assert not app.exception
    assert "needs pictures" in said(app, "info")
