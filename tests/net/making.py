"""Tiny datasets as their servers would hold them, drawn for the tests."""

import io
import json
import zipfile
from collections.abc import Mapping

from PIL import Image

from core.labels import CODES, ISIC_2018_COLUMNS
from tests.net.double import FileServer

DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile"
ISIC_STORAGE = "https://isic-archive.s3.amazonaws.com/challenges/2018"
ISIC_OLD_STORAGE = "https://isic-challenge-data.s3.amazonaws.com/2018"
ISIC_API = "https://api.isic-archive.com/api/v2/images/search/"
DX_OF = {f"ISIC_{number:07}": code for number, code in enumerate(CODES, 1)}


def picture(shade: int, size: tuple[int, int] = (24, 18)) -> bytes:
    """Return a JPEG of one colour."""
    data = io.BytesIO()
    Image.new("RGB", size, (shade % 256, 90, 60)).save(data, "JPEG")
    return data.getvalue()


PICTURES = {f"{image_id}.jpg": picture(20 * number) for number, image_id in enumerate(DX_OF, 1)}


def metadata(ids: Mapping[str, str] = DX_OF) -> bytes:
    """Return a table as HAM10000_metadata.csv is."""
    lines = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    lines += [f"HAM_{image_id[-4:]},{image_id},{dx},histo,50.0,female,back" for image_id, dx in ids.items()]
    return ("\n".join(lines) + "\n").encode()


def zip_of(files: Mapping[str, bytes], *, stored: bool = True) -> bytes:
    """Return a zip with these files."""
    data = io.BytesIO()
    how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(data, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def kaggle_zip() -> bytes:
    """Return a zip in Kaggle's layout, with its lower-case twins."""
    half = list(PICTURES.items())
    return zip_of(
        {"HAM10000_metadata.csv": metadata()}
        | {f"HAM10000_images_part_1/{name}": content for name, content in half[:4]}
        | {f"HAM10000_images_part_2/{name}": content for name, content in half[4:]}
        | {f"ham10000_images_part_1/{name}": content for name, content in half[:4]}
        | {f"ham10000_images_part_2/{name}": content for name, content in half[4:]}
    )


def fill_isic(server: FileServer, *, storage: str = ISIC_STORAGE, padding: int = 0) -> None:
    """Let a mirror hold task 3 of the ISIC challenge 2018, and the archive's facts in two pages.

    padding: bytes that make the pictures' zip larger.
    """
    folder = "ISIC2018_Task3_Training"
    truth = [",".join(("image", *ISIC_2018_COLUMNS))]
    for image_id, dx in DX_OF.items():
        hot = [("1.0" if column.lower() == dx else "0.0") for column in ISIC_2018_COLUMNS]
        truth.append(",".join((image_id, *hot)))
    groupings = ["image,lesion_id,diagnosis confirm type"]
    groupings += [f"{image_id},HAM_{image_id[-4:]},histopathology" for image_id in DX_OF]
    pictures = {f"{folder}_Input/{name}": content for name, content in PICTURES.items()}
    if padding:
        first = f"{folder}_Input/{next(iter(PICTURES))}"
        pictures[first] += bytes(padding)
    papers = {f"{folder}_Input/ATTRIBUTION.txt": b"By its authors.", f"{folder}_Input/LICENSE.txt": b"By it."}
    tables = {f"{folder}_GroundTruth/{folder}_GroundTruth.csv": "\n".join(truth).encode()}
    server.add(f"{storage}/{folder}_Input.zip", zip_of(pictures | papers))
    server.add(f"{storage}/{folder}_GroundTruth.zip", zip_of(tables))
    server.add(f"{storage}/{folder}_LesionGroupings.csv", "\n".join(groupings).encode())
    half = list(DX_OF)
    fill_facts(server, half[:4], "collections=212&limit=100", following="collections=212&cursor=abc")
    fill_facts(server, half[4:], "collections=212&cursor=abc")


def fill_facts(server: FileServer, image_ids: list[str], query: str, *, following: str | None = None) -> None:
    """Let a mirror hold one page of the archive's facts."""
    clinical = {
        "age_approx": 45,
        "sex": "male",
        "anatom_site_1": "Trunk",
        "anatom_site_general": "posterior torso",
    }
    page = {
        "count": len(DX_OF),
        "next": f"{ISIC_API}?{following}" if following else None,
        "results": [
            {"isic_id": image_id, "metadata": {"acquisition": {"pixels_x": 600}, "clinical": clinical}}
            for image_id in image_ids
        ],
    }
    server.files[f"/api.isic-archive.com/api/v2/images/search/?{query}"] = json.dumps(page).encode()
