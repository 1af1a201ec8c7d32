"""Where a dataset's pictures lie in the split that a checkpoint was trained and measured on."""

import json
from pathlib import Path

import pandas as pd

from core.data.splits import Split
from core.errors import BrokenCheckpoint, SplitError
from core.models.catalog import MANIFEST_FILE


def split_of_checkpoint(table: pd.DataFrame, folder: Path) -> pd.Series | None:
    """Return 'train', 'val' or 'test' for each row of a metadata table; None if the split is of other data.

    folder: the checkpoint's folder. Only its manifest is read, so this needs no torch.

    The split is made again by the checkpoint's seed, and believed only if its hash is the one that the
    checkpoint stored: it then is that very split, picture by picture.

    Raises:
        BrokenCheckpoint: the manifest cannot be read.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        seed, wanted = manifest.get("recipe", {}).get("seed"), manifest["split_hash"]
    except (OSError, ValueError, KeyError, AttributeError) as problem:
        raise BrokenCheckpoint(
            f"{folder.name}/{MANIFEST_FILE} cannot be read ({problem}). Fetch or train the checkpoint again."
        ) from problem
    if not isinstance(seed, int):
        return None
    try:
        split = Split.of(table, seed=seed)
    except SplitError:
        return None
    return split.of_images(table["image_id"]) if split.hash == wanted else None
