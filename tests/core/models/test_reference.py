"""A reference says what it is, comes back from its text, and never leaves its folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownReference
from core.models.reference import Reference, parse_reference

GOOD = {
    "bundled:lesionlens-lite0": Reference("bundled", "lesionlens-lite0"),
    "run:my-first.2": Reference("run", "my-first.2"),
    "local:runs/first/checkpoints/best": Reference("local", "runs/first/checkpoints/best"),
    "local:~/models/my lesions": Reference("local", "~/models/my lesions"),
    "local:C:\\models\\best": Reference("local", "C:\\models\\best"),
    "local:a@b": Reference("local", "a@b"),
    "hf:clinic/lesions": Reference("hf", "clinic/lesions"),
    "hf:clinic/lesions@main": Reference("hf", "clinic/lesions", "main"),
    "hf:clinic/lesions@refs/pr/4": Reference("hf", "clinic/lesions", "refs/pr/4"),
    "hf:clinic/les.ions_2@v1.0": Reference("hf", "clinic/les.ions_2", "v1.0"),
    f"hf:clinic/lesions@{'0a' * 20}": Reference("hf", "clinic/lesions", "0a" * 20),
}
BAD = [
    ("", "expected bundled:name"),
    ("lesionlens-lite0", "expected bundled:name, run:name, local:folder or hf:owner/name@revision"),
    ("http://example.org", "names no checkpoint"),
    ("Bundled:x", "names no checkpoint"),
    ("bundled:", "no name of a bundled checkpoint"),
    ("bundled:..", "no name of a bundled checkpoint"),
    ("bundled:../secrets", "no name of a bundled checkpoint"),
    ("bundled:a/b", "no name of a bundled checkpoint"),
    ("bundled:a\\b", "no name of a bundled checkpoint"),
    ("bundled:/etc", "no name of a bundled checkpoint"),
    ("bundled:a..b", "no name of a bundled checkpoint"),
    ("bundled:.hidden", "no name of a bundled checkpoint"),
    ("bundled:a@b", "no name of a bundled checkpoint"),
    ("run:", "no name of a run"),
    ("run:..", "no name of a run"),
    ("run:.trash", "no name of a run"),
    ("run:../x", "no name of a run"),
    ("run:a/b", "no name of a run"),
    ("run:/etc", "no name of a run"),
    ("run:a b", "no name of a run"),
    ("local:", "needs a folder"),
    ("local:  ", "needs a folder"),
    ("local:a\0b", "needs a folder"),
    ("hf:", "expected owner/name"),
    ("hf:lesions", "expected owner/name"),
    ("hf:a/b/c", "expected owner/name"),
    ("hf:../b", "expected owner/name"),
    ("hf:a/b.git", "expected owner/name"),
    ("hf:a/b--c", "expected owner/name"),
    ("hf:a/b@", "is no revision"),
    ("hf:a/b@../../x", "is no revision"),
    ("hf:a/b@/x", "is no revision"),
    ("hf:a/b@x y", "is no revision"),
    ("hf:a/b@c@d", "is no revision"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_reference_is_read_and_written_alike(text):
    assert parse_reference(text) == GOOD[text]
    assert str(GOOD[text]) == text


def test_blanks_around_a_reference_do_not_matter():
    assert parse_reference(" bundled:lite0 \t") == Reference("bundled", "lite0")


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_names_no_checkpoint_is_refused_with_what_would(text, words):
    with pytest.raises(UnknownReference, match=words):
        parse_reference(text)


def test_a_reference_that_cannot_be_is_not_made():
    with pytest.raises(UnknownReference, match="no name of a bundled checkpoint"):
        Reference("bundled", "a\n")
    with pytest.raises(UnknownReference, match="takes no revision"):
        Reference("bundled", "lite0", "main")


@given(st.text())
def test_any_text_is_a_reference_or_refused(text):
    try:
        reference = parse_reference(text)
    except UnknownReference:
        return
    assert parse_reference(str(reference)) == reference


@given(st.text(st.sampled_from("ab./\\-_~@ \0"), max_size=12))
def test_a_bundled_name_is_one_plain_folder(name):
    try:
        Reference("bundled", name)
    except UnknownReference:
        return
    assert not set(name) & set("/\\\0")
    assert not name.startswith(".")
