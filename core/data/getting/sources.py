"""Where datasets come from. Add a source by adding an entry to SOURCES."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from core import words
from core.data.getting import ham10000, kaggle, local
from core.data.getting.order import Order
from core.data.getting.workplace import Workplace
from core.settings import settings


@dataclass(frozen=True)
class Terms:
    """A licence under which a dataset is given away. about: in plain words, by whom and for what."""

    name: str
    address: str
    about: str


@dataclass(frozen=True)
class Licence:
    """What a dataset may be used for, and who is to be named.

    about: one sentence in plain words. credit: the attribution that the licence asks for. cite: the paper.
    other: what another giver of it lists instead; then both are shown, and both are accepted.
    """

    name: str
    address: str
    about: str
    credit: str
    cite: str
    other: Terms | None = None

    @property
    def names(self) -> str:
        """The licence, or both."""
        return self.name if self.other is None else f"{self.name} and {self.other.name}"


@dataclass(frozen=True)
class Field:
    """Something a source asks for in text.

    default: what stands there at first. is_here: whether this machine has it anyway, so that it may be left.
    """

    label: str
    example: str
    help: str
    default: str = ""
    is_here: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Extra:
    """A part that can be had or left."""

    name: str
    label: str
    wanted: bool


@dataclass(frozen=True)
class Source:
    """One source of datasets.

    Attributes:
        title, about: how people call it, and one or two sentences on what comes.
        licence: of what it brings unless told otherwise; see `licence_of`.
        needs_bytes: about how much room it takes at its height; None when that depends on what is given.
        where, key: what it asks for; None when it does not.
        is_here: whether it reads paths of this machine.
        folder: the name of the dataset's folder for an order.
        fetch: brings it to a workplace.
    """

    name: str
    title: str
    about: str
    licence: Licence | None
    needs_bytes: int | None
    folder: Callable[[Order], str]
    fetch: Callable[[Order, Workplace], None]
    where: Field | None = None
    key: Field | None = None
    extras: tuple[Extra, ...] = ()
    is_here: bool = False

    def licence_of(self, order: Order) -> Licence | None:
        """Return the licence of what an order brings; None where only its giver knows it."""
        default = self.where.default if self.where else ""
        return self.licence if order.where.strip() in ("", default) else None


HAM10000_LICENCE: Final = Licence(
    "CC BY-NC 4.0",
    "https://creativecommons.org/licenses/by-nc/4.0/",
    "You may use and share it for non-commercial purposes, naming its authors. A model trained on it is for "
    "non-commercial use too.",
    words.ATTRIBUTION,
    "Tschandl, P., Rosendahl, C. & Kittler, H. The HAM10000 dataset, a large collection of multi-source "
    "dermatoscopic images of common pigmented skin lesions. Sci. Data 5, 180161 (2018).",
)

_KAGGLE_LICENCE: Final = replace(
    HAM10000_LICENCE,
    other=Terms(
        "CC BY-NC-SA 4.0",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "Kaggle lists its copy under this one, the authors their deposit under the one above. It also wants "
        "what you make of the pictures to be shared under the same terms.",
    ),
)


def _fetch_hub(order: Order, place: Workplace) -> None:
    # Its client takes a second to import, which the page shall not wait for.
    from core.data.getting.hub_dataset import fetch_hub

    fetch_hub(order, place)


def _slug(text: str, ending: str = "") -> str:
    """Return a folder's name for what a person typed: its last part, in plain characters."""
    last = text.strip().strip("\"'").rstrip("/\\").replace("\\", "/").rpartition("/")[2].removesuffix(ending)
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in last)
    return plain.strip("-_").lower()[:64] or "dataset"


SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            "dataverse",
            "Harvard Dataverse",
            "HAM10000 as its authors deposited it: 10,015 pictures and all facts, 2.8 GB. No key is needed.",
            HAM10000_LICENCE,
            5_600_000_000,
            lambda _: "ham10000",
            ham10000.fetch_dataverse,
            extras=(Extra(ham10000.MASKS, "Also the outline of each lesion (11 MB)", wanted=True),),
        ),
        Source(
            "isic",
            "ISIC archive",
            "The same pictures as task 3 of the ISIC challenge 2018, 2.8 GB. No key is needed. Sites are "
            "coarser than in HAM10000's own table.",
            HAM10000_LICENCE,
            5_600_000_000,
            lambda _: "ham10000-isic",
            ham10000.fetch_isic,
            extras=(
                Extra(ham10000.FACTS, "Also ages, sexes and sites (about 100 small questions)", wanted=True),
            ),
        ),
        Source(
            "kaggle",
            "Kaggle",
            "HAM10000's best-known copy, 5.6 GB, since it holds each picture twice; here each is kept once. "
            "Kaggle wants an account and its key, and lists this copy as CC BY-NC-SA 4.0.",
            _KAGGLE_LICENCE,
            11_200_000_000,
            lambda order: (
                "ham10000-kaggle"
                if order.where.strip() in ("", kaggle.HANDLE)
                else _slug("/".join(order.where.strip().split("/")[:2]))
            ),
            kaggle.fetch_kaggle,
            where=Field(
                "Dataset on Kaggle", kaggle.HANDLE, "owner/name, or owner/name/versions/2.", kaggle.HANDLE
            ),
            key=Field(
                "Kaggle key",
                "a token, or username:key",
                "Used for this one download: never stored, never logged. Without one, KAGGLE_API_TOKEN, "
                "KAGGLE_USERNAME with KAGGLE_KEY, or ~/.kaggle/kaggle.json is used, if there is any.",
                is_here=kaggle.key_is_here,
            ),
        ),
        Source(
            "hub",
            "Hugging Face Hub",
            "A dataset repository that holds a known layout as plain files or zips. Its licence stands on "
            "its page: read it there first.",
            None,
            None,
            lambda order: _slug(order.where.partition("@")[0].strip().replace("/", "--")),
            _fetch_hub,
            where=Field("Repository", "owner/name or owner/name@revision", "Pinned to its commit."),
            key=Field(
                "Access token",
                "hf_...",
                "For private and gated ones. Used once, never stored, never logged.",
                is_here=lambda: settings().hub_token is not None,
            ),
        ),
        Source(
            "zip",
            "A zip",
            "A zip on the machine that runs LesionLens, in any layout known here. It stays where it is.",
            None,
            None,
            lambda order: _slug(order.where, ".zip"),
            local.fetch_zip,
            where=Field("Path of the zip", "/path/to/dataset.zip", "On the machine that runs LesionLens."),
            is_here=True,
        ),
        Source(
            "folder",
            "A folder",
            "A folder on the machine that runs LesionLens, such as a stick or a share: its pictures and "
            "tables are copied. To use a folder where it lies, set LESIONLENS_DATA instead.",
            None,
            None,
            lambda order: _slug(order.where),
            local.fetch_folder,
            where=Field("Path of the folder", "/path/to/dataset", "On the machine that runs LesionLens."),
            is_here=True,
        ),
    )
}
