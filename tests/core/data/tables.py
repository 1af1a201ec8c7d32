"""Metadata tables for tests: any, made by hypothesis, with everything that is rare in them."""

import pandas as pd
from hypothesis import strategies as st

from core.data.facts import SEXES, SITES
from core.data.metadata import COLUMNS, DX_TYPES, validate_metadata
from core.labels import CODES

AGES = (None, 0.0, 5.0, 44.0, 45.5, 89.0, 90.0, 120.0)


@st.composite
def metadata_tables(draw, *, min_lesions=0, max_lesions=12):
    """Draw a table with lesions of one to four photos, which may disagree on all but the diagnosis."""
    facts = st.tuples(
        st.sampled_from([None, *DX_TYPES]),
        st.sampled_from(AGES),
        st.sampled_from([None, *SEXES]),
        st.sampled_from([None, *SITES[:4]]),
        st.sampled_from([None, "here", "elsewhere, abroad"]),
    )
    # The same fact over and over, as in real data, and sometimes another one.
    photos = facts.flatmap(lambda fact: st.lists(st.just(fact) | facts, min_size=1, max_size=4))
    lesions = draw(
        st.lists(st.tuples(st.sampled_from(CODES), photos), min_size=min_lesions, max_size=max_lesions)
    )
    rows = [
        (f"image{lesion}-{photo}", f"lesion{lesion}", dx, *fact, None)
        for lesion, (dx, facts_of_photos) in enumerate(lesions)
        for photo, fact in enumerate(facts_of_photos)
    ]
    return table_of(draw(st.permutations(rows)))


def table_of(rows):
    """Return a metadata table from rows in the order of its columns."""
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    if table.empty:
        # No reader gives an empty table, but a filter that fits nothing does.
        whole = table_of([("a", "1", "nv", None, None, None, None, None, None)])
        return whole[[False]]
    return validate_metadata(table, source_name="made")
