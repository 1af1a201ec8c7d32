"""Many picture folders into one: HAM10000's two parts and their lower-case twins, in one ordered folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from core.data.readers import Listing, list_folder, read_dataset
from core.data.writing import (
    OutputFolder,
    Progress,
    Task,
    fingerprint,
    picture_names,
    without_broken,
)
from core.files import same_content


@dataclass(frozen=True)
class Combined:
    """What became of a dataset's pictures.

    twins: pictures whose name another one has with the same content; only one of them was taken.
    different_twins: those with other content; the first by path was taken, these were not.
    without_picture: images that the table names and no file shows. strangers: files that it does not name.
    unreadable: one sentence for each picture that cannot be read; its row stays, without a picture.
    """

    images: int
    twins: int
    different_twins: tuple[str, ...]
    without_picture: int
    strangers: int
    unreadable: tuple[str, ...]
    left_out: Mapping[str, int]

    def lines(self) -> list[str]:
        """Return what is to be said, one sentence a line."""
        said = [f"{self.images:,} images, {self.without_picture:,} of them without a picture."]
        if self.twins:
            said.append(f"{self.twins:,} files were twins of another one (same name, same content).")
        said += [
            f"Not taken: {name}, whose name another, different file has." for name in self.different_twins
        ]
        if self.strangers:
            said.append(f"{self.strangers:,} pictures are not in the table and were not taken.")
        said += [f"Left out, {reason}: {count:,}." for reason, count in self.left_out.items()]
        return said + [f"Unreadable: {reason}" for reason in self.unreadable]


def combine(
    source: Path,
    out: Path,
    *,
    layout: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Combined:
    """Write a dataset's pictures into one folder in the order of their ids, beside one table.

    The files are copied as they are. Case twins (`ham10000_images_part_1/` beside `HAM10000_images_part_1/`)
    are one picture.

    Raises:
        DataError: the dataset cannot be read, or the folder cannot be written.
    """
    listing = list_folder(source)
    table = read_dataset(source, layout).sort_values("image_id", ignore_index=True)
    work = {"command": "combine", "source": str(source.resolve()), "data": fingerprint(table)}
    with OutputFolder(out, work=work, inputs=[source]) as folder:
        if (done := folder.finished) is not None:
            return Combined(**(done | {key: tuple(done[key]) for key in ("different_twins", "unreadable")}))
        names = picture_names(table)
        has = names.notna()
        tasks = [
            Task(Path(path), name)
            for path, name in zip(table.loc[has, "image_path"], names[has], strict=True)
        ]
        failures = folder.write_pictures(tasks, workers=workers, progress=progress)
        kept, unreadable = without_broken(table, names, failures)
        twins, different = _twins(listing)
        result = Combined(
            images=len(kept),
            twins=twins,
            different_twins=different,
            without_picture=int(kept["image_path"].isna().sum()),
            strangers=len(set(listing.pictures) - set(table["image_id"].str.casefold())),
            unreadable=unreadable,
            left_out=table.attrs.get("left_out", {}),
        )
        folder.finish(kept, result=asdict(result))
        return result


def _twins(listing: Listing) -> tuple[int, tuple[str, ...]]:
    """Return how many files are the same as the one taken of their name, and which are not."""
    different = [
        str(path.relative_to(listing.root))
        for path in listing.same_stem
        if not same_content(path, listing.pictures[path.stem.casefold()])
    ]
    return len(listing.same_stem) - len(different), tuple(different)
