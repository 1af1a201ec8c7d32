"""Poor pictures are poor in the way they say, more so with each severity, and the same each time."""

import numpy as np
import pytest

from core.data.corruptions import CORRUPTIONS, SEVERITIES, SHORTCUTS, blank, border
from core.data.quality import measure
from core.data.steps import STEPS
from core.data.synthetic import draw_lesion

PICTURE = draw_lesion(1, kind="nv", size_px=(150, 200))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_keeps_the_shape_and_harms_more_than_a_lower_one(name):
    corruption = CORRUPTIONS[name]
    poor = [corruption(PICTURE, severity, seed=4) for severity in SEVERITIES]
    assert all(one.shape == PICTURE.shape and one.dtype == np.uint8 for one in poor)
    harm = [float(np.abs(one.astype(float) - PICTURE).mean()) for one in poor]
    assert harm[0] > 0
    # Whole pixels: neighbouring severities of a small picture may be nearly alike.
    assert harm[0] < harm[2] < harm[4]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_picture_and_leaves_the_first_alone(name):
    before = PICTURE.copy()
    first = CORRUPTIONS[name](PICTURE, 3, seed=7)
    np.testing.assert_array_equal(first, CORRUPTIONS[name](PICTURE, 3, seed=7))
    np.testing.assert_array_equal(PICTURE, before)


@pytest.mark.parametrize(
    ("name", "measured", "sign"),
    [("blur", "sharpness", -1), ("motion", "sharpness", -1), ("dark", "brightness", -1),
     ("bright", "brightness", 1), ("bright", "overexposed", 1), ("contrast", "contrast", -1),
     ("hair", "hair", 1)],
)  # fmt: skip
def test_what_a_corruption_says_can_be_measured(name, measured, sign):
    poor = CORRUPTIONS[name](PICTURE, 5, seed=1)
    change = getattr(measure(poor), measured) - getattr(measure(PICTURE), measured)
    assert sign * change > 0


@pytest.mark.parametrize("name", [name for name, one in CORRUPTIONS.items() if one.remedy])
def test_a_remedy_brings_a_picture_nearer_to_what_it_was(name):
    corruption = CORRUPTIONS[name]
    remedy = STEPS[corruption.remedy]
    assert remedy.kind == "remedy"
    poor = corruption(PICTURE, 3, seed=2)
    mended = remedy(poor).astype(float)
    before = np.abs(poor.astype(float) - PICTURE).mean()
    # Nearer to the picture as it was, or to what the remedy makes of that: it changes good pictures too.
    assert min(np.abs(mended - PICTURE).mean(), np.abs(mended - remedy(PICTURE)).mean()) < before


@pytest.mark.parametrize("severity", [0, 6])
def test_a_severity_that_does_not_exist_is_refused(severity):
    with pytest.raises(ValueError, match=f"severity is {severity}"):
        CORRUPTIONS["blur"](PICTURE, severity)


@pytest.mark.parametrize("name", SHORTCUTS)
def test_what_is_hidden_has_one_colour_and_the_rest_is_untouched(name):
    mask = np.zeros(PICTURE.shape[:2], dtype=bool)
    mask[50:100, 60:140] = True
    hidden = SHORTCUTS[name].hides(mask)
    shown = blank(PICTURE, hidden)
    assert len(np.unique(shown[hidden], axis=0)) == 1
    np.testing.assert_array_equal(shown[~hidden], PICTURE[~hidden])
    assert hidden[75, 100] == (name != "background_blanked")


def test_hiding_all_leaves_one_colour_and_the_frame_is_as_wide_as_asked():
    everything = np.ones(PICTURE.shape[:2], dtype=bool)
    assert len(np.unique(blank(PICTURE, everything).reshape(-1, 3), axis=0)) == 1
    frame = border((100, 200), share=0.1)
    assert frame[9, 50]
    assert not frame[10, 50]
