"""The leak meter: shares that can be counted by hand, an exact mean, a model that only remembers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.data.counts import bundled_facts
from core.data.leaks import (
    RULES,
    TEST_SHARE,
    Division,
    SmallPictures,
    divide,
    expected_shares,
    has_sibling,
    measure_worth,
    picture_vectors,
    sibling_shares,
    small_pictures,
)
from core.data.readers import read_dataset
from core.data.splits import DUPLICATE_PAIRS
from core.errors import SplitError, StoreError
from core.labels import CODES


def lesions(photos, *, dx=None):
    """Return a table with a lesion for each number of photos."""
    rows = [
        (f"I{lesion}_{photo}", f"L{lesion}", (dx or CODES)[lesion % len(dx or CODES)])
        for lesion, count in enumerate(photos)
        for photo in range(count)
    ]
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "dx"]).assign(image_path=None)


def coloured(metadata, *, of="lesion_id"):
    """Return small pictures of a colour of their own for each lesion, a little noise on top."""
    rng = np.random.default_rng(0)
    numbers, _ = pd.factorize(metadata[of])
    colours = rng.integers(0, 256, (numbers.max() + 1, 24, 32, 3))
    noise = rng.integers(-3, 4, (len(metadata), 24, 32, 3))
    return SmallPictures(
        np.clip(colours[numbers] + noise, 0, 255).astype(np.uint8), np.ones(len(metadata), dtype=bool)
    )


MIXED = lesions([1, 2, 3, 1, 5, 2, 2, 4, 1, 1] * 12)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_tests_a_fifth_and_the_same_again_for_the_same_draw(rule):
    division = divide(MIXED, rule, seed=3, copy_target=60)
    again, other = (divide(MIXED, rule, seed=seed, copy_target=60) for seed in (3, 4))
    assert division.test.mean() == pytest.approx(TEST_SHARE, abs=0.03)
    assert np.array_equal(division.test, again.test)
    assert not np.array_equal(division.test, other.test)
    assert set(division.rows[division.copy == 0]) == set(range(len(MIXED)))


def test_by_lesion_nothing_leaks_and_the_known_duplicates_are_one_lesion():
    first, second = DUPLICATE_PAIRS[0]
    metadata = pd.concat(
        [
            MIXED,
            pd.DataFrame(
                {"image_id": [first, second], "lesion_id": ["A", "B"], "dx": ["nv", "nv"], "image_path": None}
            ),
        ],
        ignore_index=True,
    )
    for seed in range(5):
        division = divide(metadata, "lesion", seed=seed)
        assert not has_sibling(metadata, division).any()
        assert len(set(division.test[-2:])) == 1


def test_shares_are_those_that_can_be_counted_by_hand():
    metadata = lesions([2, 1, 3], dx=["nv", "mel", "nv"])
    division = Division(np.arange(6), np.zeros(6, int), np.array([True, False, True, True, True, False]))
    shares = sibling_shares(metadata, division)
    # nv: the first lesion's one, and two of the third lesion's three; mel: one, without a sibling.
    assert shares.loc["nv"].tolist() == [3, 3, 1.0]
    assert shares.loc["mel"].tolist() == [1, 0, 0.0]
    assert shares.loc["all"].tolist() == [4, 3, 0.75]
    assert np.isnan(shares.loc["bcc", "share"])


def test_the_exact_mean_is_what_many_draws_come_to():
    drawn = [sibling_shares(MIXED, divide(MIXED, "picture", seed=seed)) for seed in range(400)]
    whole = np.mean([(table.loc["all", "share"]) for table in drawn])
    assert expected_shares(MIXED)["all"] == pytest.approx(whole, abs=0.01)
    # A class's share is a ratio of two sums, so its mean is that of the sums.
    for code in CODES:
        told, tested = (sum(table.loc[code, name] for table in drawn) for name in ("with_sibling", "test"))
        assert expected_shares(MIXED)[code] == pytest.approx(told / tested, abs=0.03)


@given(st.lists(st.integers(1, 40), min_size=3, max_size=30))
def test_expected_shares_lie_between_none_and_all(photos):
    metadata = lesions(photos)
    if len(metadata) < 5:
        return
    shares = expected_shares(metadata).dropna()
    assert shares.between(0, 1).all()
    assert (shares["all"] == 0) == (max(photos) == 1)


def test_copies_fill_rare_diagnoses_up_and_leave_common_ones():
    metadata = lesions([1] * 10 + [1] * 40, dx=["df"] * 10 + ["nv"] * 40)
    metadata["dx"] = ["df"] * 10 + ["nv"] * 40
    division = divide(metadata, "augmented", copy_target=35)
    codes = metadata["dx"].to_numpy()[division.rows]
    assert ((codes == "df").sum(), (codes == "nv").sum()) == (35, 40)
    assert (codes[division.copy > 0] == "df").all()
    # Every original is used about as often: 25 copies of 10.
    assert set(np.bincount(division.rows[division.copy > 0])) == {2, 3}
    shares = sibling_shares(metadata, division)
    assert shares.loc["nv", "share"] == 0
    assert shares.loc["df", "share"] > 0.8


def test_an_unknown_rule_and_too_few_pictures_are_refused():
    with pytest.raises(SplitError, match="expected one of picture, lesion, augmented"):
        divide(MIXED, "patient")
    with pytest.raises(SplitError, match="at least 5"):
        divide(MIXED.head(4), "picture")


def test_a_model_that_remembers_lives_on_siblings():
    # Colours say which lesion it is, and nothing of its diagnosis.
    metadata = lesions([1, 4] * 70)
    small = coloured(metadata)
    by_picture = measure_worth(metadata, divide(metadata, "picture"), small)
    by_lesion = measure_worth(metadata, divide(metadata, "lesion"), small)
    assert by_picture.with_sibling == 1
    assert by_picture.without_sibling < 0.4
    assert by_lesion.balanced_accuracy.value < 0.4 < by_picture.balanced_accuracy.value
    assert by_picture.compared
    # Lesions of one photo never have a sibling, those of four nearly always.
    told = has_sibling(metadata, divide(metadata, "picture"))
    assert (by_picture.n_with, by_picture.n_without) == (told.sum(), (~told).sum())
    assert by_lesion.balanced_accuracy.low <= by_lesion.balanced_accuracy.value
    assert by_lesion.n_with == 0
    assert np.isnan(by_lesion.with_sibling)


def test_where_colours_tell_the_diagnosis_the_rule_does_not_matter():
    metadata = lesions([4] * 140)
    small = coloured(metadata, of="dx")
    for rule in RULES:
        division = divide(metadata, rule, copy_target=100)
        assert measure_worth(metadata, division, small).balanced_accuracy.value == 1


def test_pictures_that_are_not_there_are_neither_trained_on_nor_tested():
    metadata = lesions([2] * 140)
    small = coloured(metadata)
    small.here[::2] = False
    worth = measure_worth(metadata, divide(metadata, "picture"), small)
    assert worth.balanced_accuracy.n == divide(metadata, "picture").test[1::2].sum()
    # Each lesion has lost one of its two photos: nothing is left to remember.
    assert worth.n_with == 0


def test_vectors_of_one_colour_and_of_noise_are_finite_and_of_length_one_each():
    pixels = np.stack([np.full((24, 32, 3), 90, np.uint8), np.random.default_rng(0).integers(
        0, 256, (24, 32, 3), dtype=np.uint8)])  # fmt: skip
    vectors = picture_vectors(pixels)
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors[1, :144]) == pytest.approx(1)
    assert np.linalg.norm(vectors[:, 144:], axis=1) == pytest.approx([1, 1])


def test_small_pictures_are_of_the_rows_that_have_one(tmp_path):
    for name, colour in (("I0_0", "red"), ("I2_0", "blue")):
        Image.new("RGB", (60, 45), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "I3_0.png").write_bytes(b"nothing")
    metadata = lesions([1, 1, 1, 1])
    paths = {name: str(tmp_path / f"{name}.png") for name in ("I0_0", "I2_0", "I3_0")}
    metadata["image_path"] = metadata["image_id"].map(paths)
    seen = []
    small = small_pictures(
        metadata,
        cache_dir=tmp_path / "cache",
        report=lambda done, total=None, **_: seen.append((done, total)),
    )
    assert small.here.tolist() == [True, False, True, False]
    assert small.pixels[0, 5, 5].tolist() == [255, 0, 0]
    assert small.pixels[2, 5, 5].tolist() == [0, 0, 255]
    assert seen[-1] == (3, 3)


def test_facts_alone_have_no_small_pictures(tmp_path):
    with pytest.raises(StoreError, match="facts only"):
        small_pictures(lesions([1, 1]), cache_dir=tmp_path)


def test_the_bundled_facts_leak_what_was_published():
    # 38.6 % of test pictures have a sibling in training: melanoma 69 %, bcc 57 %, df 54 % in one draw.
    shares = expected_shares(bundled_facts())
    assert shares["all"] == pytest.approx(0.386, abs=0.005)
    assert shares["mel"] == pytest.approx(0.69, abs=0.02)
    assert shares["bcc"] == pytest.approx(0.57, abs=0.02)
    assert shares["df"] == pytest.approx(0.54, abs=0.03)


def test_real_ids_leak_what_was_published_and_a_little_more_by_the_known_duplicates(ham10000_folder):
    metadata = read_dataset(ham10000_folder)
    shares = expected_shares(metadata)
    assert shares["all"] == pytest.approx(0.3893, abs=0.0005)
    assert shares["all"] > expected_shares(bundled_facts())["all"]
    drawn = [
        sibling_shares(metadata, divide(metadata, "picture", seed=seed)).loc["all"] for seed in range(10)
    ]
    assert all(table["test"] == 2003 for table in drawn)
    assert np.mean([table["share"] for table in drawn]) == pytest.approx(shares["all"], abs=0.02)
    assert sibling_shares(metadata, divide(metadata, "lesion")).loc["all", "with_sibling"] == 0


@pytest.mark.slow
def test_on_real_pictures_augmenting_before_splitting_makes_remembering_look_good(ham10000_folder, tmp_path):
    metadata = read_dataset(ham10000_folder).groupby("dx").head(300).reset_index(drop=True)
    small = small_pictures(metadata, cache_dir=tmp_path)
    scores = {
        rule: measure_worth(metadata, divide(metadata, rule, copy_target=600), small).balanced_accuracy
        for rule in RULES
    }
    assert scores["augmented"].low > scores["lesion"].high
    assert scores["picture"].value > scores["lesion"].value
