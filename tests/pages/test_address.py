"""Numbers that anybody may write into an address."""

import pytest

from pages.ui.address import whole_number


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("3", 3), ("003", 3), ("0", 1), ("-2", 1), ("2.5", 1), ("", 1), ("x", 1), ("٣", 1), (4, 4), (None, 1),
        ("99", 7), ("9" * 5000, 7), ("0" * 5000, 1), ("0" * 5000 + "2", 2),
    ],
)  # fmt: skip
def test_a_number_in_an_address_is_the_nearest_that_there_is(written, read):
    assert whole_number(written, high=7) == read
