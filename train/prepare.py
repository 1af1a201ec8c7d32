"""Preparing data: `python -m train prepare --help`. Commands read dataset folders and write new ones."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from core.errors import DataError, MetadataError
from core.labels import CODES
from train.display import Counter, TerminalDisplay
from train.prepare_get import get_dataset

if TYPE_CHECKING:
    from core.data.readers import Labels

app = typer.Typer(
    help="Get, combine, merge, resize, augment, split and check datasets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command("get")(get_dataset)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="The dataset folder, any known layout. Default: the setting LESIONLENS_DATA."
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="A new folder; unfinished work in it goes on.")]
LayoutOption = Annotated[
    str | None, typer.Option("--layout", help="The dataset's layout, if its files fit more than one.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes. Default: one a processor.")
]


@app.command()
def combine(
    out: OutOption, data: DataOption = None, layout: LayoutOption = None, workers: WorkersOption = None
) -> None:
    """Bring a dataset's picture folders into one: HAM10000's two parts, case twins taken once."""
    from core.data.combining import combine as combine_folders

    result = combine_folders(
        data_dir(data), out, layout=layout, workers=workers, progress=_progress("pictures")
    )
    _say(result.lines(), out)


@app.command()
def merge(
    datasets: Annotated[
        list[str], typer.Argument(help="NAME=FOLDER, or FOLDER; the first one wins where two disagree.")
    ],
    out: OutOption,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help='A TOML file with a section a dataset: [NAME] "their word" = "code", or "" to leave it out.',
        ),
    ] = None,
    layout: Annotated[
        list[str] | None, typer.Option("--layout", help="NAME=LAYOUT, where files fit more than one.")
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Merge datasets of different layouts and labels into one; nothing is dropped unsaid.

    For instance: python -m train prepare merge ham=DIR pad=DIR --out both
    """
    from core.data.merging import merge_datasets

    sources = [(name, Path(folder).expanduser()) for name, folder in map(_named, datasets)]
    result = merge_datasets(
        sources,
        out,
        labels=read_label_maps(labels) if labels else None,
        layouts=dict(_pair(one, "NAME=LAYOUT") for one in layout or []),
        workers=workers,
        progress=_progress("pictures"),
    )
    _say(result.lines(), out)


@app.command()
def augment(  # noqa: PLR0913, PLR0917 -- each is an option of the command line
    out: OutOption,
    target: Annotated[
        list[str],
        typer.Option(
            "--target", help="CODE=COUNT: training pictures this diagnosis shall have; all=COUNT for all."
        ),
    ],
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the copies.")] = 0,
    split_seed: Annotated[
        int, typer.Option(min=0, help="Of the split whose training part is copied: a recipe's `seed`.")
    ] = 0,
    rotate: Annotated[float, typer.Option(help="Degrees either way.")] = 30.0,
    shear: Annotated[float, typer.Option(help="Degrees either way.")] = 8.0,
    zoom: Annotated[float, typer.Option(help="0.15 is from 1/1.15 to 1.15.")] = 0.15,
    light: Annotated[float, typer.Option(help="0.2 is brightness and contrast from 0.8 to 1.2.")] = 0.0,
    flips: Annotated[bool, typer.Option(help="Mirror images and right angles.")] = True,
    size: Annotated[
        str | None, typer.Option(help="Bring all to a size: shorter side, or HEIGHTxWIDTH.")
    ] = None,
    layout: LayoutOption = None,
    workers: WorkersOption = None,
) -> None:
    """Add changed copies of rare diagnoses' training pictures; val and test stay as they are.

    On-the-fly augmentation needs none of this: recipes do it by default.
    """
    from core.data.augmenting import Augmentation, Strength, augment_dataset
    from core.data.resizing import Size

    strength = Strength(rotate, shear, zoom, brightness=light, contrast=light, flips=flips)
    result = augment_dataset(
        data_dir(data),
        out,
        Augmentation(read_targets(target), strength, seed, split_seed, Size.parse(size) if size else None),
        layout=layout,
        workers=workers,
        progress=_progress("pictures"),
    )
    _say(result.lines(), out)


@app.command()
def resize(
    out: OutOption,
    size: Annotated[str, typer.Option(help="Pixels: of the shorter side, or HEIGHTxWIDTH.")],
    data: DataOption = None,
    gray: Annotated[bool, typer.Option("--gray", help="0.299 R + 0.587 G + 0.114 B.")] = False,
    layout: LayoutOption = None,
    workers: WorkersOption = None,
) -> None:
    """Bring every picture to one size, in colour or gray, in one ordered folder."""
    from core.data.resizing import Size, resize_dataset

    result = resize_dataset(
        data_dir(data),
        out,
        size=Size.parse(size),
        gray=gray,
        layout=layout,
        workers=workers,
        progress=_progress("pictures"),
    )
    _say(result.lines(), out)


@app.command()
def split(
    out: Annotated[Path, typer.Option("--out", help="The manifest to write, a CSV.")],
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="A recipe's `seed`.")] = 0,
    layout: LayoutOption = None,
) -> None:
    """Write who is in train, val and test: by lesion, known duplicates together, class shares kept."""
    from core.data.readers import read_dataset
    from core.data.splits import SPLITS, Split

    divided = Split.of(read_dataset(data_dir(data), layout), seed=seed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        divided.save(out)
    except OSError as problem:
        raise DataError(f"{out} could not be written ({problem.strerror or problem}).") from problem
    table = divided.table
    for name in SPLITS:
        mine = table[table["split"] == name]
        counts = mine["dx"].value_counts().reindex(CODES, fill_value=0)
        each = ", ".join(f"{code} {count:,}" for code, count in counts.items())
        typer.echo(f"{name:5} {len(mine):6,} images of {mine['group'].nunique():6,} lesions: {each}")
    typer.echo(f"Seed {seed}, hash {divided.hash[:12]}: {out}")


@app.command()
def counts(
    out: Annotated[Path, typer.Option("--out", help="The CSV to write.")],
    data: DataOption = None,
    layout: LayoutOption = None,
) -> None:
    """Write a dataset's distributions as counts: facts that may be given away, without pictures or ids."""
    from core.data.counts import count_facts, write_counts
    from core.data.readers import read_dataset

    table = read_dataset(data_dir(data), layout)
    counted = count_facts(table)
    write_counts(counted, out)
    typer.echo(f"{len(table):,} images in {len(counted):,} rows of counts: {out}")


@app.command()
def measures(
    out: Annotated[Path, typer.Option("--out", help="The CSV to write.")],
    data: DataOption = None,
    every: Annotated[int, typer.Option(min=1, help="Only every n-th picture.")] = 4,
) -> None:
    """Write the percentiles of a dataset's picture measures: the Predict page holds pictures against them."""
    from core.data.pictures import read_picture
    from core.data.readers import read_dataset
    from core.predict.picture_quality import tabulate

    table = read_dataset(data_dir(data))
    paths = [Path(path) for path in table["image_path"].dropna().iloc[::every]]
    counting = TerminalDisplay().counting("pictures")

    def pictures() -> Iterator[np.ndarray]:
        for done, path in enumerate(paths, 1):
            yield read_picture(path, name=path.name).pixels
            counting(done, len(paths))

    tabulate(pictures()).to_csv(out)
    typer.echo(f"Percentiles of {len(paths):,} pictures: {out}")


@app.command("report")
def report_on(
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="A Markdown file. Default: the terminal.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split: a recipe's `seed`.")] = 0,
    layout: LayoutOption = None,
) -> None:
    """Say what each part of a split holds: labels, people, skin tones, quality and copies of pictures."""
    from train.prepare_report import report

    text = report(data_dir(data), layout=layout, seed=seed, progress=_progress("pictures"))
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise DataError(f"{out} could not be written ({problem.strerror or problem}).") from problem
    typer.echo(f"Written to {out}")


@app.command()
def synthetic(
    out: OutOption,
    images: Annotated[int, typer.Option(min=7, help="Pictures, in HAM10000's proportions.")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "225x300",
    workers: WorkersOption = None,
) -> None:
    """Draw a synthetic dataset: HAM10000's columns and proportions, nobody's skin."""
    from core.data.resizing import Size
    from core.data.synthetic import draw_dataset

    wanted = Size.parse(size)
    if wanted.width is None:
        raise typer.BadParameter("give --size HEIGHTxWIDTH, for instance 225x300")
    drawn = draw_dataset(
        out,
        images=images,
        seed=seed,
        size_px=(wanted.height, wanted.width),
        workers=workers,
        progress=_progress("pictures"),
    )
    typer.echo(f"{images:,} synthetic pictures, drawn by a program and good for tests alone: {drawn}")


def read_label_maps(path: Path) -> dict[str, "Labels"]:
    """Read label maps from TOML: a section a dataset, their word = our code, "" to leave its rows out.

    Raises:
        MetadataError: the file cannot be read, or is not such a table.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise MetadataError(
            f'{path} cannot be read as a label map ({problem}); expected TOML like [pad] "SCC" = "akiec".'
        ) from problem
    for name, section in content.items():
        if not isinstance(section, dict) or not all(isinstance(code, str) for code in section.values()):
            raise MetadataError(
                f'{path.name}: {name} is no section of words; expected [{name}] with "their word" = "code".'
            )
    return {name: {word: code or None for word, code in section.items()} for name, section in content.items()}


def read_targets(given: list[str]) -> dict[str, int]:
    """Read targets such as ["df=500", "vasc=500"] or ["all=1000"]; later ones win.

    Raises:
        DataError: it is not CODE=COUNT, or there is no such diagnosis.
    """
    targets: dict[str, int] = {}
    for text in given:
        code, count = _pair(text, "CODE=COUNT")
        if not (count.isascii() and count.isdigit()):
            raise DataError(f"{text!r} is no target; write CODE=COUNT, for instance df=500.")
        if code != "all" and code not in CODES:
            raise DataError(f"There is no diagnosis {code!r}; expected all, or one of {', '.join(CODES)}.")
        targets |= dict.fromkeys(CODES if code == "all" else (code,), int(count))
    return targets


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise DataError(f"{text!r} is not understood; write {form}.")
    return name.strip(), value.strip()


def _named(text: str) -> tuple[str, str]:
    # A folder's own name will do; a path may have an equals sign after its first slash.
    if "=" in text.partition("/")[0]:
        return _pair(text, "NAME=FOLDER")
    return Path(text).expanduser().resolve().name, text


def data_dir(given: Path | None) -> Path:
    """Return the dataset folder that is given, or the setting's."""
    from core.settings import settings

    folder = given or settings().data_dir
    if folder is None:
        raise typer.BadParameter("no dataset folder; give --data DIR or set LESIONLENS_DATA")
    return folder


def _progress(text: str) -> Counter:
    return TerminalDisplay().counting(text)


def _say(lines: list[str], out: Path) -> None:
    for line in lines:
        typer.echo(line)
    typer.echo(f"Written to {out}")
