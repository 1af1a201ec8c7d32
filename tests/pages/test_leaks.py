"""The Leaks view: shares from facts alone, the worth by a button, and the whole of it in the address."""

import pytest

from core import jobs
from core.data.counts import bundled_facts
from core.data.leaks import RULES, expected_shares
from core.data.synthetic import make_dataset
from core.settings import settings
from pages.ui.explore import datasets, leaks
from tests.pages.reading import said


@pytest.fixture(autouse=True)
def forget():
    yield
    for function in (datasets._opened, leaks._shares):
        function.clear()
    for key in list(jobs._JOBS):
        jobs.forget(key)


@pytest.fixture
def explore(open_page):
    def explore(**query):
        app = open_page("Explore", **{"view": "Leaks"} | query)
        assert not app.exception, [problem.message for problem in app.exception]
        return app

    return explore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data") / "set", images_per_class=12, seed=1)


def test_facts_alone_show_the_published_share(explore):
    words = said(explore(), "markdown").replace("\u00a0", " ")
    assert f"Over all draws the mean is {100 * expected_shares(bundled_facts())['all']:.1f} %" in words
    assert "38.7 %" in words
    assert "of 2,003" in words


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_opens_by_its_address(explore, rule):
    app = explore(explore_leak_rule=RULES[rule].title)
    assert app.session_state["explore_leak_rule"] == rule
    assert RULES[rule].about in said(app, "markdown")
    leaky = "that training has seen, most for" in said(app, "markdown")
    assert leaky == (rule != "lesion")


def test_without_pictures_the_worth_is_not_offered_but_explained(explore):
    app = explore()
    assert not any(button.label == "Measure it" for button in app.button)
    assert "With pictures" in said(app, "caption")


def test_another_draw_gives_other_shares_and_stands_in_the_address(explore):
    app = explore(explore_leak_draw="4")
    before = said(app, "markdown")
    assert app.session_state["explore_leak_draw"] == 4
    app.button(key="explore_leak_again").click().run()
    assert app.session_state["explore_leak_draw"] == 5
    assert said(app, "markdown") != before


@pytest.mark.parametrize("draw", ["-3", "1000000", "x"])
def test_a_draw_that_does_not_exist_becomes_one_that_does(explore, draw):
    app = explore(explore_leak_draw=draw)
    assert 0 <= app.session_state["explore_leak_draw"] <= leaks._LAST_DRAW


def test_more_copies_leak_more(explore):
    few = explore(explore_leak_rule=RULES["augmented"].title, explore_leak_copies="200")
    many = explore(explore_leak_rule=RULES["augmented"].title, explore_leak_copies="3000")
    shares = [
        float(said(app, "markdown").split("**")[1].replace("\u00a0", " ").removesuffix(" %"))
        for app in (few, many)
    ]
    assert shares[0] < shares[1] < 100


def test_a_filter_that_leaves_too_little_is_said(explore, folder, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    settings.cache_clear()
    app = explore(images="SYN_0000000,SYN_0000001")
    assert "2 pictures cannot be divided; expected at least 5" in said(app, "error")


def test_the_worth_of_all_rules_is_measured_by_one_button(explore, folder, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    settings.cache_clear()
    app = explore()
    next(button for button in app.button if button.label == "Measure it").click().run()
    (job,) = [job for key, job in jobs._JOBS.items() if key.startswith("leaks:")]
    assert job.wait(120) == "done"
    app.run()
    assert not app.exception
    assert list(job.result) == list(RULES)
    words = said(app, "markdown")
    assert "By lesion it scores" in words or "not defined" in words
    assert [table.value.index.name for table in app.table][-1] == "rule"
    # Another draw is another measurement, and is asked for.
    app.button(key="explore_leak_again").click().run()
    assert any(button.label == "Measure it" for button in app.button)
