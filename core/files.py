"""Files as such."""

import hashlib
from pathlib import Path


def sha256(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal; raises OSError when it cannot be read."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
