"""Changes of a picture: pure, repeatable, written to an address and read back, never trusted."""

import numpy as np
import pytest

from core.data.changes import (
    CHANGES,
    STANDARD,
    Applied,
    apply_all,
    cover_shape,
    cut,
    read_changes,
    write_changes,
)
from core.data.synthetic import draw_lesion

LESION = draw_lesion(1, kind="nv", size_px=(90, 120))


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_gives_a_picture_and_leaves_the_first_alone(name):
    change, before = CHANGES[name], LESION.copy()
    for amount in {change.low, change.usual, change.high}:
        changed = change.apply(LESION, amount)
        assert changed.dtype == np.uint8
        assert changed.ndim == 3
        np.testing.assert_array_equal(changed, change.apply(LESION, amount))
    np.testing.assert_array_equal(LESION, before)
    if name != "no-hair":  # this drawing has none
        usual = change.apply(LESION, change.usual)
        assert usual.shape != LESION.shape or (usual != LESION).mean() > 0.005


def test_more_is_more():
    for name in ("blur", "noise", "hair", "cast"):
        change = CHANGES[name]
        little, much = (
            np.abs(change.apply(LESION, amount).astype(int) - LESION).mean()
            for amount in (change.usual, change.high)
        )
        assert little < much, name


def test_the_twelve_are_twelve_different_pictures():
    assert len(STANDARD) == 12
    assert len({one(LESION).tobytes() for one in STANDARD}) == 12


def test_a_shape_is_hidden_or_alone_left():
    square = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    hidden, kept = cover_shape(LESION, square), cover_shape(LESION, square, keep=True)
    assert len(np.unique(hidden[30:60, 40:80].reshape(-1, 3), axis=0)) == 1
    np.testing.assert_array_equal(hidden[:20], LESION[:20])
    np.testing.assert_array_equal(kept[30:60, 40:80], LESION[30:60, 40:80])
    assert len(np.unique(kept[:20].reshape(-1, 3), axis=0)) == 1


def test_cutting_keeps_the_middle():
    assert cut(LESION, 0.5).shape == (45, 60, 3)
    assert cut(LESION[:16, :16], 0.4).shape == (16, 16, 3)


def test_changes_survive_the_address():
    applied = (
        Applied("rotate", -45),
        Applied("gray"),
        Applied("hide", points=((0.1, 0.2), (0.5, 0.25), (1, 1))),
    )
    found = read_changes(write_changes(applied))
    assert found == applied
    np.testing.assert_array_equal(apply_all(LESION, found), apply_all(LESION, applied))
    assert read_changes(write_changes(())) == ()


@pytest.mark.parametrize(
    "nonsense",
    [
        "rotate:900",
        "boil:3",
        "blur:nan",
        "blur:inf",
        "rotate",
        "~~",
        "hide:0.1/0.2",
        "hide:0.1/0.2/0.3/0.4/0.5/7",
        "hide:0/0/1/1/1",
        "keep:" + "/".join(["0.5"] * 200),
    ],
)
def test_nonsense_of_an_address_is_left_out(nonsense):
    assert read_changes(nonsense) == ()
    assert read_changes(f"{nonsense}~mirror:1") == (Applied("mirror"),)


def test_an_address_holds_only_so_many():
    assert len(read_changes("~".join(["mirror:1"] * 50))) == 12
