"""Tags and notes on a run: kept whole, bounded, and never in the way of reading it."""

import pytest

from core.errors import RunError
from core.runs.notes import FILE, MAX_NOTE, MAX_TAG, MAX_TAGS, Notes, read_notes, write_notes


def test_what_was_written_is_read(tmp_path):
    notes = Notes.of(" first ,second,first,, ", " Try less decay. ")
    assert notes == Notes(("first", "second"), "Try less decay.")
    write_notes(tmp_path, notes)
    assert read_notes(tmp_path) == notes
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tags": 3, "note": ""}', '{"note": "alone"}'])
def test_a_file_that_cannot_be_understood_is_no_notes(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert read_notes(tmp_path) == Notes()


@pytest.mark.parametrize(
    ("tags", "note"),
    [("x" * (MAX_TAG + 1), ""), (",".join(map(str, range(MAX_TAGS + 1))), ""), ("", "x" * (MAX_NOTE + 1))],
)
def test_too_much_is_refused(tags, note):
    with pytest.raises(RunError, match="at most"):
        Notes.of(tags, note)


def test_notes_that_cannot_be_written_leave_those_of_before(tmp_path):
    write_notes(tmp_path, Notes(("kept",)))
    (tmp_path / FILE).rename(tmp_path / "aside")
    (tmp_path / FILE).mkdir()
    (tmp_path / FILE / "in the way").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_notes(tmp_path, Notes(("new",)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", FILE]
