"""Commands about where the lesion is, and whether evidence lies there: the mask network, map quality."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from train.display import TerminalDisplay
from train.manage import DataOption, data_dir

if TYPE_CHECKING:
    from core.explain.lesion_mask import MaskManifest

masks = typer.Typer(
    help="The network that finds the lesion in a picture.", no_args_is_help=True, rich_markup_mode=None
)


@masks.command()
def fit(
    out: Annotated[Path, typer.Option(help="The folder to write: model.safetensors and masks.json.")],
    data: DataOption = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times every training picture is drawn.")] = 4,
    weights: Annotated[
        str, typer.Option(help="Of the encoder: auto, package, hub, none or file:PATH.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the draws.")] = 0,
) -> None:
    """Train it on a dataset with lesion masks; the best epoch on val is measured once on test.

    Ctrl-C keeps the best epoch so far; `masks measure` then measures it.
    """
    from core.data.masks import find_masks
    from core.data.readers import read_dataset
    from core.data.splits import Split
    from core.settings import settings
    from train.masks import MaskRecipe, fit_masks

    folder = data_dir(data)
    metadata = read_dataset(folder)
    manifest = fit_masks(
        metadata,
        Split.of(metadata, seed=seed),
        find_masks(folder, list(metadata["image_id"])),
        out,
        MaskRecipe(epochs=epochs, weights=weights, seed=seed),
        cache_dir=settings().cache_dir,
        display=TerminalDisplay(),
    )
    _say(manifest, out)


@masks.command()
def measure(
    folder: Annotated[Path, typer.Option(help="The folder that `masks fit` wrote.")],
    data: DataOption = None,
) -> None:
    """Measure a trained one on the test part of its own split and write the numbers beside it."""
    from core.data.masks import find_masks
    from core.data.readers import read_dataset
    from core.explain.lesion_mask import load_masks
    from train.masks import finish_masks

    dataset = data_dir(data)
    metadata = read_dataset(dataset)
    found = find_masks(dataset, list(metadata["image_id"]))
    _say(finish_masks(folder, load_masks(folder), metadata, found, TerminalDisplay()), folder)


def _say(manifest: "MaskManifest", folder: Path) -> None:
    for name, one in manifest.measured.items():
        typer.echo(f"  {name:12} {one['value']:.3f}  ({one['low']:.3f} to {one['high']:.3f}, n = {one['n']})")
    typer.echo(f"Written to {folder}")
