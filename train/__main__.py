"""The command line: `python -m train --help`."""

import math
import os
import signal
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import LesionLensError
from train import explain_commands, hub, manage, prepare
from train.display import TerminalDisplay
from train.manage import DataOption, NewRunOption, Overrides, RecipeArgument, RunArgument, data_dir
from train.recipe import available_recipes

if TYPE_CHECKING:
    import pandas as pd

    from core.data.splits import Split
    from core.evaluate.artifact import Evaluation
    from core.models.checkpoint import Checkpoint
    from core.runs.folder import RunFolder

app = typer.Typer(
    help="Train, measure and use skin-lesion classifiers on HAM10000 and data like it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(prepare.app, name="prepare")
app.add_typer(explain_commands.masks, name="masks")
manage.add_commands(app)

# Imports of torch take seconds: each command imports what it runs, so --help answers at once.

CheckpointOption = Annotated[
    str,
    typer.Option("--checkpoint", help="bundled:NAME, run:NAME, local:FOLDER or hf:OWNER/NAME[@REVISION]."),
]
WorkersOption = Annotated[int, typer.Option(min=0, help="Threads that decode pictures.")]


class SplitName(StrEnum):
    """Parts of a split."""

    train = "train"
    val = "val"
    test = "test"


class Prior(StrEnum):
    """Which mix of diagnoses probabilities are meant for."""

    data = "data"
    balanced = "balanced"


class ViewCount(StrEnum):
    """How many views of a picture are averaged; see `core.predict.many.VIEWS`."""

    one = "1"
    four = "4"
    eight = "8"
    sixteen = "16"


ViewsOption = Annotated[
    ViewCount,
    typer.Option(help="Views to average: 4 flips, 8 with quarter turns, 16 also of the middle alone."),
]


@app.command()
def recipes() -> None:
    """List the recipes that come with LesionLens, each with its purpose."""
    for name, path in available_recipes().items():
        purpose = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# Purpose: ")
        typer.echo(f"{name:12} {purpose}")


@app.command()
def fit(
    recipe: RecipeArgument,
    data: DataOption = None,
    run: NewRunOption = None,
    overrides: Overrides = None,
) -> None:
    """Train a recipe on a dataset, then calibrate on val and measure on test.

    The run folder then holds the checkpoint (`checkpoint/`) and its evaluation (`evaluation/`).

    On several processors or GPUs: torchrun --standalone --nproc_per_node N -m -- train fit RECIPE ...
    """
    from train.fit import start
    from train.recipe import load_recipe

    display = _display()
    chosen = load_recipe(recipe, overrides or [])
    name = run or f"{Path(recipe).stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    start(
        chosen,
        data_dir(data),
        name,
        display,
        recipe_name=Path(recipe).stem,
        then=lambda folder: _finish(folder, None, None, display),
    )


@app.command()
def resume(run: RunArgument) -> None:
    """Go on with a run that was paused, stopped or killed, from its last saved step."""
    from core.runs import control
    from core.runs.folder import RunFolder
    from core.settings import settings
    from train.fit import resume as resume_run

    if _is_first() and control.state_of(folder := RunFolder.open(settings().runs_dir, run)) == "paused":
        control.resume(folder)
        return
    display = _display()
    resume_run(run, display, then=lambda folder: _finish(folder, None, None, display))


@app.command()
def finish(
    run: RunArgument,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="Where to write. Default: the run's own folder.")] = None,
) -> None:
    """Make a checkpoint of a run's best weights so far: calibrated on val, measured on test."""
    from core.runs.folder import RunFolder
    from core.settings import settings

    _finish(RunFolder.open(settings().runs_dir, run), data, out, _display())


@app.command()
def calibrate(checkpoint: CheckpointOption, data: DataOption = None) -> None:
    """Fit a checkpoint's prediction sets, natural frequencies, input limits and balanced prior anew.

    Older ones lack some of these. All are fitted on the val part of its own split and written into its
    lesionlens.json; weights, temperature and thresholds stay as they are.
    """
    from train.finish import calibrate as calibrate_checkpoint

    loaded = _load(checkpoint)
    metadata, split = _divided(data_dir(data), loaded)
    fitted = calibrate_checkpoint(loaded, metadata, split, progress=_display().counting)
    if _is_first() and fitted.held_out is not None:
        lesions = sum(fitted.held_out.sets.n_lesions)
        typer.echo(
            f"Fitted on {lesions} val lesions, written to {loaded.folder}; "
            f"power {fitted.balanced_power:.1f} of the balanced prior"
        )


@app.command()
def evaluate(
    checkpoint: CheckpointOption,
    data: DataOption = None,
    split: Annotated[SplitName, typer.Option(help="Which part.")] = SplitName.test,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the evaluation artifact into this folder; a stopped one goes on there."),
    ] = None,
    views: ViewsOption = ViewCount.one,
    workers: WorkersOption = 1,
) -> None:
    """Measure a checkpoint on its own split, with 95 % intervals over lesions."""
    from train.evaluate import evaluate_checkpoint
    from train.parts import FOLDER, forget

    loaded = _load(checkpoint)
    metadata, parts = _divided(data_dir(data), loaded)
    evaluation = evaluate_checkpoint(
        loaded,
        metadata,
        parts,
        split.value,
        name=loaded.manifest.name,
        views=int(views.value),
        workers=workers,
        with_val=out is not None,
        keep=None if out is None else out / FOLDER,
        progress=_display().counting(split.value),
    )
    if not _is_first():
        return
    _print_metrics(evaluation)
    if out is not None:
        evaluation.save(out)
        forget(out / FOLDER)
        typer.echo(f"Written to {out}")


@app.command()
def score(
    checkpoint: CheckpointOption,
    images: Annotated[Path, typer.Option(help="A folder of pictures.")],
    out: Annotated[Path, typer.Option(help="The CSV to write: image,MEL,NV,BCC,AKIEC,BKL,DF,VASC.")],
    metadata: Annotated[
        Path | None, typer.Option(help="A CSV of facts: image_id, and any of age, sex, localization.")
    ] = None,
    prior: Annotated[
        Prior,
        typer.Option(
            help="The mix of diagnoses the probabilities are for: HAM10000's, best for ranking pictures, or "
            "all alike, best for naming diagnoses."
        ),
    ] = Prior.data,
    views: ViewsOption = ViewCount.sixteen,
    leave_out_unknown: Annotated[
        bool, typer.Option("--leave-out-unknown", help="Leave out what the model does not know, as pages do.")
    ] = False,
    workers: WorkersOption = 1,
) -> None:
    """Answer a folder of pictures; exit code 3 says that some have no answer."""
    from core.predict.many import BATCH
    from core.predict.scoring import Way
    from train.score import score_folder

    scored = score_folder(
        _load(checkpoint),
        images,
        out,
        metadata=metadata,
        way=Way(
            prior=prior.value,
            views=int(views.value),
            gated=leave_out_unknown,
            batch=BATCH,
            workers=workers,
        ),
        progress=_display().counting("pictures"),
    )
    if not _is_first():
        return
    typer.echo(f"{scored.answered} pictures answered, {scored.with_facts} of them with facts: {out}")
    typer.echo(f"The prior is {prior.value}; {views.value} views of each picture were averaged.")
    for name, reason in scored.unanswered.items():
        typer.echo(f"skipped {name}: {reason}", err=True)
    if scored.unanswered:
        raise typer.Exit(3)


@app.command()
def serve(
    checkpoint: CheckpointOption,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8502,
) -> None:
    """Answer pictures over HTTP as JSON, until it is interrupted. No accounts and no encryption."""
    from core.predict.serving import make_server
    from core.settings import settings

    limit = settings().max_upload_mb * 2**20
    server = make_server(_load(checkpoint), host=host, port=port, max_bytes=limit)
    typer.echo(f"POST a picture to http://{host}:{server.server_port}/predict; Ctrl-C ends it.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("Ended.")
    finally:
        server.server_close()


@app.command()
def robustness(
    checkpoint: CheckpointOption,
    out: Annotated[Path, typer.Option(help="The folder to write; a stopped run goes on there.")],
    data: DataOption = None,
    lesions: Annotated[int, typer.Option(min=10, help="Test lesions to measure on; the mix is kept.")] = 200,
    name: Annotated[
        str | None, typer.Option(help="What the table calls the model. Default: the checkpoint's own name.")
    ] = None,
) -> None:
    """Measure how a checkpoint bears blur, noise, hair and bad light, with and without remedies."""
    from core.data.masks import find_masks
    from core.data.readers import read_dataset
    from core.data.splits import Split
    from core.evaluate.gathering import ROBUSTNESS_FILE
    from core.heap import keep_large_blocks
    from train.robustness import measure_robustness

    keep_large_blocks()

    loaded = _load(checkpoint)
    folder = data_dir(data)
    metadata = read_dataset(folder)
    table = measure_robustness(
        loaded,
        metadata,
        Split.of(metadata, seed=int(loaded.manifest.recipe.get("seed", 0))),
        out,
        name=name or loaded.manifest.name,
        masks=find_masks(folder, list(metadata["image_id"])),
        lesions=lesions,
        progress=_display().counting("pictures"),
    )
    if _is_first():
        typer.echo(f"{len(table):,} rows written to {out / ROBUSTNESS_FILE}")


@app.command()
def compare(
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(help="Folders of evaluations, or names of runs. Default: all that are here."),
    ] = None,
    point: Annotated[
        str, typer.Option(help="sensitivity:0.95, specificity:0.8, cost:10 or benefit:0.1, say.")
    ] = "sensitivity:0.95",
    histology: Annotated[
        bool, typer.Option("--histology", help="Only pictures that histology confirmed.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write comparison.csv and pairs.csv into this folder.")
    ] = None,
) -> None:
    """Compare models on the pictures that all of them answered: ranks, intervals, paired differences."""
    from core.evaluate.operating import parse_wish
    from core.spreadsheet import to_csv
    from train.compare import as_table, measure, pairs_table, read, say

    wish = parse_wish(point)
    if wish is None:
        raise typer.BadParameter(f"no operating point {point!r}; for example sensitivity:0.95")
    compared = measure(read(evaluations or []), wish, histology=histology)
    for line in say(compared):
        typer.echo(line)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, table in (("comparison", as_table(compared)), ("pairs", pairs_table(compared))):
            (out / f"{name}.csv").write_bytes(to_csv(table))
        typer.echo(f"Written to {out}")


@app.command()
def maps(
    checkpoint: CheckpointOption,
    out: Annotated[Path, typer.Option(help="The folder to write; a stopped run goes on there.")],
    data: DataOption = None,
    lesions: Annotated[int, typer.Option(min=10, help="Test lesions to measure on; the mix is kept.")] = 200,
    name: Annotated[str, typer.Option(help="What the rows call the model. Default: the checkpoint's.")] = "",
) -> None:
    """Measure evidence maps on test pictures: against the lesion masks, a blob and random orders."""
    from core.data.masks import find_masks
    from train.maps import RESULT_FILE, measure_maps

    loaded = _load(checkpoint)
    folder = data_dir(data)
    metadata, split = _divided(folder, loaded)
    table = measure_maps(
        loaded,
        metadata,
        split,
        find_masks(folder, list(metadata["image_id"])),
        out,
        name=name or loaded.manifest.name,
        lesions=lesions,
        progress=_display().counting("maps"),
    )
    everything = table[table["group"] == "all"]
    for measure, value, low, high, n in everything[["measure", "value", "low", "high", "n"]].to_numpy():
        typer.echo(f"  {measure:18} {_shown(value)}  ({_shown(low)} to {_shown(high)}, n = {n})")
    typer.echo(f"Written to {out / RESULT_FILE}")


app.command()(hub.pull)
app.command()(hub.publish)


def _finish(folder: "RunFolder", data: Path | None, out: Path | None, display: TerminalDisplay) -> None:
    from train.finish import finish_run, reference_of

    target = out or folder.path / "checkpoint"
    _, evaluation = finish_run(
        folder,
        target,
        name=target.name if out else folder.path.name,
        data_dir=data,
        progress=display.counting,
    )
    if not _is_first():
        return
    # Beside what was measured: the run's own checkpoint may be another, published with its own answers.
    evaluation.save((out or folder.path) / "evaluation")
    _print_metrics(evaluation)
    typer.echo("The epochs were scored on val, before the answers were brought to that mix.")
    typer.echo(f"Checkpoint: {target}\nUse it with --checkpoint {reference_of(target)}")


def _load(reference: str) -> "Checkpoint":
    from core.models.catalog import folder_of
    from core.models.checkpoint import load_checkpoint
    from core.models.reference import parse_reference

    folder = folder_of(parse_reference(reference), progress=_display().counting("download"))
    return load_checkpoint(folder, reference=reference)


def _divided(folder: Path, checkpoint: "Checkpoint") -> "tuple[pd.DataFrame, Split]":
    """Return a dataset's metadata, and how it divides by the seed that the checkpoint was trained with."""
    from core.data.readers import read_dataset
    from core.data.splits import Split

    metadata = read_dataset(folder)
    return metadata, Split.of(metadata, seed=int(checkpoint.manifest.recipe.get("seed", 0)))


def _is_first() -> bool:
    """Whether this process is the one that speaks and writes; torchrun numbers its processes in RANK."""
    return os.environ.get("RANK", "0") == "0"


def _display() -> TerminalDisplay:
    return TerminalDisplay(quiet=not _is_first())


def _print_metrics(evaluation: "Evaluation") -> None:
    typer.echo(
        f"{evaluation.name} on {evaluation.split}: {evaluation.n_images} pictures, {evaluation.views} view(s)"
    )
    for name, interval in evaluation.metrics.items():
        value, low, high = map(_shown, (interval.value, interval.low, interval.high))
        typer.echo(f"  {name:34} {value}  ({low} to {high}, n = {interval.n})")
    typer.echo(
        "balanced_accuracy is of answers that take the diagnoses for as common as in the train part; "
        "(balanced prior) of answers that take them for equally common: `score --prior balanced`."
    )


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "n/a"


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a problem a person can mend is one sentence, anything else a traceback."""
    # `kill` and the end of a rented machine stop a run as Ctrl-C does: it says so, and can be resumed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except LesionLensError as problem:
        sys.exit(f"{problem}")
    except SystemExit as ended:
        if not ended.code:
            _leave_the_others()
        raise


def _leave_the_others() -> None:
    """Leave torchrun's other processes: a group left open can abort a process that has done its work."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
