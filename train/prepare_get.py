"""`python -m train prepare get`: a dataset on this machine, with its licence shown before."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from core.data.getting import SOURCES, Line, Means, Order, Source, find, get
from core.data.getting.workplace import in_words
from core.errors import GettingError
from core.settings import settings

SourceArgument = Annotated[
    str, typer.Argument(help=f"Where from: {', '.join(SOURCES)}. Without one they are listed.")
]
WhereArgument = Annotated[
    str, typer.Argument(help="A Kaggle handle, a Hub repository, or the path of a zip or folder.")
]
AcceptOption = Annotated[
    bool, typer.Option("--accept-licence", help="The licence was read and is accepted; do not ask.")
]
KeyOption = Annotated[
    bool, typer.Option("--key", help="Ask for a key or token. Never give one as an argument: others see it.")
]
LeaveOption = Annotated[
    list[str] | None, typer.Option("--without", help="Leave out an extra: masks (dataverse), facts (isic).")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="The folder of all datasets. Default: datasets in the cache folder."),
]
NameOption = Annotated[str | None, typer.Option("--name", help="The dataset's name. Default: the source's.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Bring it anew even if it is there.")]
MirrorOption = Annotated[
    str | None, typer.Option("--mirror", help="Ask MIRROR/host/path instead of https://host/path.")
]
SilenceOption = Annotated[
    float, typer.Option("--silence", min=0.1, help="How long a server may be silent, in seconds.")
]


def get_dataset(  # noqa: PLR0913, PLR0917 -- a command has as many options as it has
    source: SourceArgument = "",
    where: WhereArgument = "",
    accept: AcceptOption = False,
    key: KeyOption = False,
    without: LeaveOption = None,
    out: OutOption = None,
    name: NameOption = None,
    again: AgainOption = False,
    mirror: MirrorOption = None,
    silence: SilenceOption = 30.0,
) -> None:
    """Bring a dataset to this machine; run it again to go on where it was stopped."""
    if not source:
        _print_sources()
        return
    if source not in SOURCES:
        raise typer.BadParameter(f"there is no source {source!r}; expected one of {', '.join(SOURCES)}")
    chosen = SOURCES[source]
    if unknown := sorted(set(without or []) - {extra.name for extra in chosen.extras}):
        extras = ", ".join(extra.name for extra in chosen.extras) or "none"
        raise typer.BadParameter(f"{source} has no extra {unknown[0]!r} to leave out; it has {extras}")
    order = Order(
        where or (chosen.where.default if chosen.where else ""),
        getpass.getpass(f"{chosen.title} key (not shown): ") if key else None,
        frozenset(extra.name for extra in chosen.extras if extra.name not in (without or [])),
    )
    root = out or settings().cache_dir / "datasets"
    here = None if again else find(root, name or chosen.folder(order))
    accepted = here is not None or accept or _ask_licence(chosen, order)
    with Bar() as bar:
        means = Means(root, bar, Line(silence, mirror))
        got = get(chosen, order, means, accepted=accepted, name=name, again=again)
    for note in got.notes:
        typer.echo(note)
    typer.echo(f"{got.n_images:,} images, {got.n_pictures:,} with a picture: {got.folder}")
    typer.echo(f"Use it with --data {got.folder}, or set LESIONLENS_DATA.")


def _print_sources() -> None:
    for source in SOURCES.values():
        room = f" Needs {in_words(source.needs_bytes)} of room meanwhile." if source.needs_bytes else ""
        typer.echo(f"{source.name:10} {source.title}. {source.about}{room}")


def _ask_licence(source: Source, order: Order) -> bool:
    """Show the licence and ask whether it is accepted."""
    licence = source.licence_of(order)
    if licence is None:
        typer.echo("What comes may be used as its giver says: read the licence where the data is from.")
    else:
        for terms in (licence, licence.other):
            if terms is not None:
                typer.echo(f"Licence: {terms.name}, {terms.address}\n{terms.about}")
        typer.echo(f"{licence.credit}\n{licence.cite}")
    if not sys.stdin.isatty():
        raise GettingError("Nobody is there to accept the licence; say --accept-licence.")
    return typer.confirm("Do you accept it?")


class Bar:
    """Shows a report as a bar with bytes, pace and time left; a new bar for each thing that is done."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._what = ""

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, done: float, total: float | None = None, *, unit: str = "", note: str = "") -> None:
        """Show that `done` of `total` units are done."""
        what = note.partition(",")[0]
        if self._bar is None or what != self._what:
            self._close()
            self._what = what
            # In a log file each redraw is a line.
            interval = 0.5 if sys.stderr.isatty() else 10.0
            scaled = unit == "bytes"
            self._bar = tqdm(
                desc=what,
                total=total,
                initial=done,
                unit="B" if scaled else unit or "it",
                unit_scale=scaled,
                mininterval=interval,
                dynamic_ncols=True,
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
