"""Tests of the error tree: one root, and the drawing in its docstring is the truth."""

import inspect
import re

import pytest

from core import errors

ERRORS = {name: one for name, one in vars(errors).items() if inspect.isclass(one)}


def parents_as_drawn():
    """Return the parent of each error as the module's docstring draws the tree."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        if drawn := re.match(r"(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+(?:Error|Reference|Checkpoint))\b", line):
            depth = len(drawn["indent"]) // 4 - 1
            path[depth:] = [drawn["name"]]
            parents[drawn["name"]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_is_as_drawn():
    assert parents_as_drawn() == {name: one.__base__.__name__ for name, one in ERRORS.items()}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_page_can_catch_every_error_by_the_root_and_show_its_message(error):
    with pytest.raises(errors.LesionLensError, match=r"^The thing and the cure\.$"):
        raise error("The thing and the cure.")


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_error_says_what_it_means(error):
    assert error.__doc__
    assert error.__doc__.strip().endswith(".")
