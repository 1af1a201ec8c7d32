"""HAM10000 where its authors put it, Harvard Dataverse, and as the ISIC challenge of 2018 published it.

Sizes and checksums of the Dataverse files are those that the Dataverse itself publishes.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx2

from core.data.getting.order import Order
from core.data.getting.remote import Checksum, Remote, explain, persistently, raise_for
from core.data.getting.workplace import Workplace
from core.data.readers import HAM10000_COLUMNS, read_dataset
from core.data.vocabulary import ISIC_SITE, translate
from core.errors import GettingError
from core.files import replacing

MASKS: Final = "masks"
FACTS: Final = "facts"

_DATAVERSE: Final = "https://dataverse.harvard.edu/api/access/datafile"
_TABLE: Final = Remote(
    "HAM10000_metadata.csv",
    # Without the format comes a converted table, which is not what the checksum is of.
    (f"{_DATAVERSE}/4338392?format=original",),
    690_218,
    Checksum("md5", "8f85fb1aa29d80a2797247e434deb79d"),
)
_PICTURES: Final = (
    Remote(
        "HAM10000_images_part_1.zip",
        (f"{_DATAVERSE}/3172585",),
        1_366_522_108,
        Checksum("md5", "4639bfa73ab251610530a97c898e6e46"),
    ),
    Remote(
        "HAM10000_images_part_2.zip",
        (f"{_DATAVERSE}/3172584",),
        1_403_566_547,
        Checksum("md5", "da43d6cc50f6613013be07e8986b384b"),
    ),
)
_MASKS: Final = Remote(
    "HAM10000_segmentations_lesion_tschandl.zip",
    (f"{_DATAVERSE}/3838943",),
    10_808_743,
    Checksum("md5", "6e8d252e09cfdb0189199f15985a5b84"),
)

# The archive's storage as its pages link it today, and as they did for years.
_ISIC_STORAGES: Final = (
    "https://isic-archive.s3.amazonaws.com/challenges/2018",
    "https://isic-challenge-data.s3.amazonaws.com/2018",
)
_ISIC_API: Final = "https://api.isic-archive.com/api/v2"
_ISIC_COLLECTION: Final = 212
_PAGE: Final = 100
_MAX_PAGES: Final = 1000
"""Pages of the archive's answers; HAM10000 has 101."""
_SITE_FIELDS: Final = (
    "anatom_site_special",
    *(f"anatom_site_{level}" for level in range(5, 0, -1)),
    "anatom_site_general",
)
_WITHOUT_FACTS: Final = "Or get it without ages, sexes and sites."
_FACT_COLUMNS: Final = ("isic_id", "age_approx", "sex", *_SITE_FIELDS)


def fetch_dataverse(order: Order, place: Workplace) -> None:
    """Bring the table and the pictures of Harvard Dataverse, and the lesion masks when they are wanted."""
    archives = [*_PICTURES, *([_MASKS] if MASKS in order.extras else [])]
    # Photos hardly shrink in a zip, so they need about their zip's room again.
    unpacked = sum(remote.size or 0 for remote in archives)
    table, *zips = place.download([_TABLE, *archives], unpacked=unpacked)
    place.take_over([(table, table.name)], origin=table.name)
    for archive in zips:
        place.unpack(archive, into=archive.stem)


def fetch_isic(order: Order, place: Workplace) -> None:
    """Bring task 3 of the ISIC challenge 2018, and the patients' facts of the archive when they are wanted.

    With the facts, the table takes HAM10000's own form; the challenge's tables are kept in `.source`.
    """
    pictures, truth, groupings = (
        Remote(name, tuple(f"{storage}/{name}" for storage in _ISIC_STORAGES), size)
        for name, size in (
            ("ISIC2018_Task3_Training_Input.zip", 2_771_732_744),
            ("ISIC2018_Task3_Training_GroundTruth.zip", 37_000),
            ("ISIC2018_Task3_Training_LesionGroupings.csv", 500_000),
        )
    )
    # The small ones first: what is wrong with the address or the network shows at once.
    paths = place.download([groupings, truth, pictures], unpacked=pictures.size or 0)
    place.take_over([(paths[0], groupings.name)], origin=groupings.name)
    for archive in paths[1:]:
        place.unpack(archive, into=archive.stem)
    if FACTS in order.extras:
        facts = place.downloads / "isic_archive_facts.csv"
        if not facts.is_file():
            _write_facts(_ask_facts(place), facts)
        _compose(place, facts)


def _ask_facts(place: Workplace) -> list[dict[str, str]]:
    """Return what the archive knows about each picture of HAM10000, asking page by page."""
    question = urlencode({"collections": _ISIC_COLLECTION, "limit": _PAGE})
    address: str | None = f"{_ISIC_API}/images/search/?{question}"
    line = place.line
    rows: list[dict[str, str]] = []
    with line.client() as client:
        for _ in range(_MAX_PAGES):
            if address is None:
                return rows
            tell = partial(
                place.report,
                len(rows),
                unit="pictures",
                note="Asking the ISIC archive for ages, sexes and sites",
            )
            tell()
            asked = line.through(address)
            try:
                page = persistently(partial(_page, client, asked), line=line, report=tell)
            except (OSError, httpx2.HTTPError) as problem:
                raise GettingError(
                    f"{explain(problem, 'the patients’ facts', asked, line)} {_WITHOUT_FACTS}"
                ) from problem
            except ValueError as problem:
                raise GettingError(
                    f"What {urlsplit(asked).netloc} answers about the patients is not what the ISIC archive "
                    f"answers ({problem}). {_WITHOUT_FACTS}"
                ) from problem
            rows.extend(_facts_in(page))
            address = _next(page, address)
    raise GettingError(
        f"{urlsplit(_ISIC_API).netloc} sent {_MAX_PAGES:,} pages of facts and no end; get the dataset "
        "without ages, sexes and sites, or from another source."
    )


def _page(client: httpx2.Client, address: str) -> Mapping[str, object]:
    response = client.get(address)
    raise_for(response, address, "the patients’ facts")
    page = response.json()
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise json.JSONDecodeError("no results in its answer", "", 0)
    return page


def _facts_in(page: Mapping[str, object]) -> Iterator[dict[str, str]]:
    results = page["results"]
    for picture in results if isinstance(results, list) else ():
        groups = picture.get("metadata", {}) if isinstance(picture, dict) else {}
        clinical = groups.get("clinical", {}) if isinstance(groups, dict) else {}
        if not isinstance(clinical, dict) or not isinstance(picture.get("isic_id"), str):
            continue
        given = {name: clinical.get(name) for name in _FACT_COLUMNS[1:]}
        yield {"isic_id": picture["isic_id"]} | {
            name: "" if value is None else str(value) for name, value in given.items()
        }


def _next(page: Mapping[str, object], address: str) -> str | None:
    """Return where the next page lies; never at another host than the archive's own."""
    following = page.get("next")
    if not isinstance(following, str) or not following:
        return None
    if urlsplit(following)[:2] != urlsplit(address)[:2]:
        raise GettingError(
            f"The ISIC archive names {urlsplit(following).netloc} for its next page; that is not followed. "
            "Get the dataset without ages, sexes and sites, or from another source."
        )
    return following


def _write_facts(rows: Iterable[dict[str, str]], path: Path) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, _FACT_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _compose(place: Workplace, facts: Path) -> None:
    """Write HAM10000's table from the challenge's labels and the archive's facts."""
    labels = read_dataset(place.files, "isic_2018")
    with facts.open(encoding="utf-8", newline="") as opened:
        known = {row["isic_id"]: row for row in csv.DictReader(opened)}
    source = place.files / ".source"
    source.mkdir()
    for path in [path for path in place.files.rglob("*.csv") if source not in path.parents]:
        path.rename(source / path.name)
    (source / facts.name).write_bytes(facts.read_bytes())
    with (place.files / "HAM10000_metadata.csv").open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(HAM10000_COLUMNS)
        for row in labels.itertuples():
            fact = known.get(str(row.image_id), {})
            writer.writerow(
                [
                    row.lesion_id,
                    row.image_id,
                    row.dx,
                    row.dx_type if isinstance(row.dx_type, str) else "",
                    fact.get("age_approx", ""),
                    fact.get("sex", "") or "unknown",
                    _site(fact) or "unknown",
                ]
            )
    if strangers := [image_id for image_id in labels["image_id"] if image_id not in known]:
        place.notes.append(
            f"The ISIC archive gave no facts for {len(strangers):,} of {len(labels):,} pictures "
            f"({', '.join(strangers[:3])}{' and others' if len(strangers) > 3 else ''})."
        )


def _site(fact: Mapping[str, str]) -> str | None:
    """Return the finest site that HAM10000 has a word for."""
    words = (translate(fact.get(name, ""), ISIC_SITE)[0] for name in _SITE_FIELDS)
    return next((word for word in words if word), None)
