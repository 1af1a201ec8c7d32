"""Which dataset is explored: bundled facts, a folder, a synthetic set, or one that was fetched here.

Add a kind by adding a function that offers it to OFFERS.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import pandas as pd
import streamlit as st

from core import jobs
from core.data.counts import bundled_facts
from core.data.facets import Facets
from core.data.splits import split_by_lesion
from core.data.synthetic import draw_dataset
from core.errors import DataError, MetadataError, SplitError
from core.settings import settings
from pages.ui import cache, notices
from pages.ui.jobs import draw as draw_job

Kind = Literal["bundled", "folder", "synthetic", "got"]

FACTS: Final = "HAM10000, facts only"
SYNTHETIC: Final = "Synthetic pictures"
ANY_FOLDER: Final = "Another folder"
SYNTHETIC_SEED: Final = 0
SYNTHETIC_IMAGES: Final = 1000
# The split that the recipes use unless told otherwise.
SPLIT_SEED: Final = 0


@dataclass(frozen=True)
class Dataset:
    """One dataset.

    Attributes:
        name: what people call it.
        kind: where it is from.
        table: its metadata table (`core.data.metadata`) and, where its ids are its own, the `split` that the
            recipes give it; shared, never to be changed.
        folder: where its files lie; None for facts alone.
        version: changes with the table; see `key`.
    """

    name: str
    kind: Kind
    table: pd.DataFrame
    folder: Path | None
    version: str = ""

    @property
    def key(self) -> str:
        """A string that stays the same for the same dataset with the same rows; caches are keyed by it."""
        return self.kind if self.folder is None else f"{self.kind}:{self.folder}:{self.version}"

    @property
    def has_pictures(self) -> bool:
        """Whether any of its pictures are here."""
        return bool(Facets.of(self.table).pictured.any())


@dataclass(frozen=True)
class Offer:
    """A dataset that can be chosen: how to open it, and what to do while it cannot be.

    Attributes:
        open: returns the dataset; None while something is still asked of the person.
    """

    name: str
    open: Callable[[], Dataset | None]


def choose() -> Dataset:
    """Ask for a dataset and return it; the bundled facts while another one cannot be had."""
    offers = {offer.name: offer for offered in OFFERS for offer in offered()}
    name = st.selectbox("Dataset", list(offers), key="dataset", bind="query-params", width=360)
    try:
        dataset = offers[name].open()
    except DataError as problem:
        notices.refuse(problem, icon=":material/folder_off:")
        dataset = None
    if dataset is None:
        st.caption(f"Until it can be opened, what follows is of “{FACTS}”.")
        return _bundled()
    return dataset


@st.cache_resource(max_entries=1, show_spinner="Reading the bundled counts …")
def _bundled() -> Dataset:
    # The ids of expanded counts are made up, and so would a split of them be.
    return Dataset(FACTS, "bundled", bundled_facts(), None)


@st.cache_resource(ttl="10m", max_entries=4, show_spinner="Reading the dataset's table …")
def _opened(name: str, kind: Kind, folder: Path) -> Dataset:
    table = cache.dataset(folder)
    if kind == "synthetic":
        # It lies in HAM10000's layout; what it is called must not come from there.
        table = table.assign(source=kind)
    # A dataset with copies made by another seed has no such split; everything else of it still shows.
    with suppress(SplitError):
        table = table.assign(split=split_by_lesion(table, seed=SPLIT_SEED))
    version = f"{pd.util.hash_pandas_object(table, index=False).sum():016x}"
    return Dataset(name, kind, table, folder, version)


def _configured() -> Iterator[Offer]:
    if (folder := settings().data_dir) is not None:
        name = f"{folder.name}, local folder"
        yield Offer(name, lambda: _opened(name, "folder", folder))


def _got() -> Iterator[Offer]:
    """Yield what "Get data" has brought; a folder that it still writes has a name with a dot in front."""
    home = settings().cache_dir / "datasets"
    folders = sorted(home.iterdir()) if home.is_dir() else []
    for folder in folders:
        if folder.is_dir() and not folder.name.startswith("."):
            name = f"{folder.name}, fetched"
            yield Offer(name, partial(_opened, name, "got", folder))


def _facts() -> Iterator[Offer]:
    yield Offer(FACTS, _bundled)


def _synthetic() -> Iterator[Offer]:
    yield Offer(SYNTHETIC, _open_synthetic)


def _any_folder() -> Iterator[Offer]:
    # Whoever sits at this machine may read its folders in any case; nobody else shall learn what lies there.
    if settings().allow_folders and sits_here():
        yield Offer(ANY_FOLDER, _open_folder)


def sits_here() -> bool:
    """Return whether this page is seen from the machine that serves it. A proxy makes all seem so."""
    # Streamlit says None for loopback, but not for IPv4's loopback on a socket that takes both versions.
    return st.context.ip_address in (None, "::ffff:127.0.0.1")


OFFERS: Final[tuple[Callable[[], Iterator[Offer]], ...]] = (
    _configured,
    _got,
    _facts,
    _synthetic,
    _any_folder,
)
"""In the order of the list; the first one that there is opens by itself."""


def _open_folder() -> Dataset | None:
    typed = st.text_input(
        "Folder on this machine",
        placeholder="/path/to/a/dataset",
        key="folder",
        bind="query-params",
        help="Any layout that the readers know: Kaggle, Dataverse, ISIC 2018, ISIC archive, PAD-UFES-20, or "
        "one folder a diagnosis.",
        # In a row that wraps, what stretches would be squeezed first.
        width=420,
    ).strip()
    if not typed:
        return None
    folder = Path(typed).expanduser().absolute()
    if not folder.is_dir():
        raise MetadataError(f"{folder} is no folder here. Check the path; it is read on the server.")
    return _opened(f"{folder.name}, local folder", "folder", folder)


def _open_synthetic() -> Dataset | None:
    folder = settings().cache_dir / "synthetic" / f"{SYNTHETIC_IMAGES}-seed-{SYNTHETIC_SEED}"
    if not folder.is_dir():
        draw_job(
            f"synthetic:{folder}",
            "Drawing lesions",
            lambda report: _draw_synthetic(folder, report),
            button="Draw them",
            about=f"{SYNTHETIC_IMAGES:,} pictures drawn by a program, with facts in HAM10000's proportions; "
            "kept in this server's cache folder. It takes less than a minute.",
            on_disk=True,
        )
        return None
    return _opened(SYNTHETIC, "synthetic", folder)


def _draw_synthetic(folder: Path, report: jobs.Report) -> Path:
    """Write the synthetic set beside its place and move it there when it is whole; a stopped one goes on."""
    begun = folder.with_name(f".{folder.name}")
    try:
        draw_dataset(
            begun,
            images=SYNTHETIC_IMAGES,
            seed=SYNTHETIC_SEED,
            progress=lambda done, total: report(done, total, unit="pictures"),
        )
        begun.rename(folder)
    except OSError as problem:
        raise DataError(
            f"{folder} cannot be written: {problem.strerror}. Free the disk or its rights."
        ) from problem
    return folder
