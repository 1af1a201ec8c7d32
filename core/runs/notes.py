"""Tags and a note on a run: notes.json beside what its trainer writes, replaced atomically."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from core.errors import RunError
from core.files import replacing

FILE: Final = "notes.json"
MAX_TAGS: Final = 12
MAX_TAG: Final = 40
MAX_NOTE: Final = 4000


@dataclass(frozen=True)
class Notes:
    """What people wrote on a run. tags: without doubles, in their order."""

    tags: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, tags: str | list[str] | tuple[str, ...], note: str) -> "Notes":
        """Return notes from what was typed; tags may stand in one text with commas.

        Raises:
            RunError: too many tags, or too long ones, or too long a note.
        """
        words = tags.split(",") if isinstance(tags, str) else tags
        kept = tuple(dict.fromkeys(" ".join(word.split()) for word in words if word.strip()))
        if len(kept) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in kept):
            raise RunError(f"A run has at most {MAX_TAGS} tags of at most {MAX_TAG} characters; use fewer.")
        if len(note) > MAX_NOTE:
            raise RunError(
                f"A note has at most {MAX_NOTE:,} characters, this one has {len(note):,}; shorten it."
            )
        return cls(kept, note.strip())


def read_notes(run: Path) -> Notes:
    """Return the notes of a run's folder; none where the file is missing or cannot be understood."""
    try:
        stored = json.loads((run / FILE).read_text(encoding="utf-8"))
        return Notes.of([str(tag) for tag in stored["tags"]], str(stored["note"]))
    except (OSError, ValueError, KeyError, TypeError, RunError):
        return Notes()


def write_notes(run: Path, notes: Notes) -> None:
    """Write the notes of a run's folder.

    Raises:
        RunError: they cannot be written; those of before are kept.
    """
    try:
        with replacing(run / FILE) as part:
            part.write_text(json.dumps(asdict(notes), indent=2) + "\n", encoding="utf-8")
    except OSError as problem:
        raise RunError(
            f"The notes of run {run.name} could not be written ({problem.strerror}). Free some disk space or "
            "mend the folder's rights; what was written before is kept."
        ) from problem
