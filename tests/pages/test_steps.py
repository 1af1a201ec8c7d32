"""The Steps view: one picture through every step, with a recipe's parameters, by link and by click."""

import pytest

from core.data.recipes import picture_recipes
from core.data.steps import STEPS
from core.data.synthetic import make_dataset
from tests.pages.reading import said


@pytest.fixture
def open_steps(open_page):
    """Return a function that opens the Steps view by its address."""

    def open_steps(**query):
        return open_page("Explore", view="Steps", **query)

    return open_steps


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A dataset with pictures, as the app's own."""
    folder = make_dataset(tmp_path / "made", images_per_class=2, seed=1, size_px=(90, 120))
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    return folder


def test_every_step_is_shown_with_its_formula_though_there_are_no_pictures(open_steps):
    app = open_steps()
    assert not app.exception
    words = said(app)
    assert "facts alone, so this picture is drawn" in words
    for step in STEPS.values():
        assert f"**{step.title}**" in words
        assert step.about in words
        assert f"Formula: {step.source}." in words


@pytest.mark.parametrize("name", picture_recipes())
def test_every_recipe_can_be_shown(open_steps, name):
    app = open_steps(explore_recipe=name)
    assert not app.exception
    recipe = picture_recipes()[name]
    assert f"always: the shorter side to {recipe.size} px".lower() in said(app).lower()
    assert ("nothing is augmented" in said(app)) == recipe.frozen


def test_another_draw_gives_other_values_and_the_same_number_the_same(open_steps):
    app = open_steps(explore_recipe="lite0", explore_draw="7")
    first = said(app, "caption")
    again = open_steps(explore_recipe="lite0", explore_draw="7")
    assert said(again, "caption") == first
    app.button(key="explore_draw_again").click().run()
    assert app.number_input(key="explore_draw").value == 8
    assert said(app, "caption") != first


def test_a_picture_of_the_dataset_is_taken_and_another_one_on_request(open_steps, pictures):
    app = open_steps(explore_step_image="SYN_3000001")
    assert not app.exception
    assert "SYN_3000001, Dermatofibroma" in said(app)
    app.button(key="explore_step_shuffle").click().run()
    assert not app.exception
    assert app.text_input(key="explore_step_image").value.startswith("SYN_")


def test_a_picture_that_is_not_there_is_refused_with_the_cure(open_steps, pictures):
    app = open_steps(explore_step_image="nobody")
    assert not app.exception
    assert "No picture 'nobody' passes the filter" in said(app, "error")


def test_a_broken_picture_is_refused_by_name(open_steps, pictures):
    (pictures / "HAM10000_images_part_1" / "SYN_0000000.jpg").write_bytes(b"\xff\xd8 broken")
    app = open_steps(explore_step_image="SYN_0000000")
    assert not app.exception
    assert "SYN_0000000.jpg" in said(app, "error")


def test_a_drawing_can_be_taken_although_there_are_pictures(open_steps, pictures):
    app = open_steps(explore_step_source="synthetic", explore_step_kind="Vascular lesion")
    assert not app.exception
    assert "synthetic" in said(app)
    assert app.selectbox(key="explore_step_kind").value == "vasc"
