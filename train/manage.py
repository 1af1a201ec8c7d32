"""Commands that manage runs: show, pause, stop, delete, the queue, its dispatcher, and estimates."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core.runs import control
from core.runs import queue as waiting_line
from core.runs.folder import RunFolder
from core.settings import settings

RecipeArgument = Annotated[str, typer.Argument(help="A recipe's name (see `recipes`), or a TOML file.")]
RunArgument = Annotated[str, typer.Argument(help="The run's name, or its folder.")]
QueuedArgument = Annotated[str, typer.Argument(help="The name of the run that waits.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a value, e.g. --set epochs=3; as often as needed.")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The dataset's folder. Default: the setting LESIONLENS_DATA."),
]
NewRunOption = Annotated[str | None, typer.Option("--run", help="The run's name. Default: recipe and time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]

queue = typer.Typer(help="What waits to be trained on this machine, one run at a time.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to a command line."""
    for command in (show, pause, stop, delete, work, estimate, sweep):
        app.command()(command)
    app.add_typer(queue, name="queue")


def data_dir(given: Path | None) -> Path:
    """Return the dataset's folder: what was given, or the setting."""
    folder = given or settings().data_dir
    if folder is None:
        raise typer.BadParameter("no dataset folder; give --data DIR or set LESIONLENS_DATA")
    return folder


def show(recipe: RecipeArgument, overrides: Overrides = None, as_json: JsonOption = False) -> None:
    """Show every value of a recipe, with overrides; refuses one that cannot be."""
    from train.recipe import load_recipe

    values = load_recipe(recipe, overrides or []).to_json()
    if as_json:
        typer.echo(json.dumps(values))
        return
    for key, value in values.items():
        section = value if isinstance(value, dict) else {}
        for name, one in {f"{key}.{below}": one for below, one in section.items()}.items():
            typer.echo(f"{name} = {json.dumps(one)}")
        if not isinstance(value, dict):
            typer.echo(f"{key} = {json.dumps(value)}")


def pause(run: RunArgument) -> None:
    """Save a run's state after the step it is at, and let it wait; `resume` lets it go on."""
    control.pause(_open(run))


def stop(run: RunArgument) -> None:
    """Save a run's state after the step it is at, make a checkpoint of its best weights, and end it."""
    control.stop(_open(run))


def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Move a run that is not being trained to the trash folder."""
    folder = _open(run)
    if not yes:
        typer.confirm(f"Move run {folder.name} to the trash?", abort=True)
    typer.echo(f"Moved to {control.delete(folder)}")


@queue.command("add")
def add(
    recipe: RecipeArgument,
    data: DataOption = None,
    run: NewRunOption = None,
    overrides: Overrides = None,
) -> None:
    """Put a run into the queue; it is trained by a process of its own when this machine is free."""
    name = control.submit(recipe, data_dir=data_dir(data), name=run, overrides=overrides or ())
    typer.echo(f"{name} waits. Its folder will be {settings().runs_dir / name}")


@queue.command("list")
def list_queue(as_json: JsonOption = False) -> None:
    """List what waits, first to last."""
    items = waiting_line.waiting(settings().runs_dir)
    if as_json:
        typer.echo(
            json.dumps([{"name": item.name, "recipe": item.recipe, "what": item.what} for item in items])
        )
        return
    for place, item in enumerate(items):
        state = "is being started" if item.starting else "waits"
        typer.echo(f"{place}  {item.name}  {item.what} {item.recipe}, {item.data_dir}, {state}")
    if not items:
        typer.echo("Nothing waits.")


@queue.command("move")
def move(
    name: QueuedArgument, to: Annotated[int, typer.Argument(min=0, help="The place; 0 is next.")]
) -> None:
    """Move a run that waits to another place in the queue."""
    waiting_line.move(settings().runs_dir, name, to)


@queue.command("cancel")
def cancel(name: QueuedArgument) -> None:
    """Take a run that waits out of the queue."""
    waiting_line.cancel(settings().runs_dir, name)


def work() -> None:
    """Start what waits, one run after the other, until the queue is empty; one dispatcher a machine."""
    if not waiting_line.work(settings().runs_dir):
        typer.echo("Another dispatcher of this machine looks after the queue already.")


def estimate(
    recipe: RecipeArgument,
    data: DataOption = None,
    overrides: Overrides = None,
    budget: Annotated[
        float | None, typer.Option(min=1, help="Also say what fits into so many seconds, all in all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a few real steps of a recipe, and say how long the whole run will take here."""
    from core.runs.estimate import budget_overrides
    from train.estimating import measure
    from train.recipe import load_recipe

    measured = measure(load_recipe(recipe, overrides or []), data_dir(data))
    if as_json:
        typer.echo(json.dumps(asdict(measured)))
        return
    typer.echo(
        f"About {measured.total_s / 60:.1f} minutes, {measured.low_s / 60:.1f} to "
        f"{measured.high_s / 60:.1f}, on {measured.device}:\n"
        f"  {measured.steps} steps of {measured.seconds_per_step:.3f} s in {measured.epochs} epochs\n"
        f"  starting {measured.starting_s:.0f} s, decoding {measured.decoding_s:.0f} s, features "
        f"{measured.features_s:.0f} s\n"
        f"  validation {measured.validation_s:.0f} s, measuring the result {measured.finishing_s:.0f} s"
    )
    if budget is not None:
        changes = budget_overrides(measured, budget)
        typer.echo(f"Within {budget:.0f} s: {' '.join(f'--set {one}' for one in changes) or 'as it is'}")


def sweep(
    space: Annotated[str, typer.Argument(help="A sweep's name (files in train/sweeps), or a TOML file.")],
    data: DataOption = None,
    name: Annotated[str | None, typer.Option(help="The study's name. Default: the sweep's.")] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many in all. Default: what the sweep says.")
    ] = None,
) -> None:
    """Search for better values of a recipe, on val; run it again to go on, or several at once to share.

    The study lies in the runs folder, in .sweeps/NAME: study.db, trials.csv, and the best trial as best.toml.
    """
    from train.display import TerminalDisplay
    from train.sweep import Search, best_rows, load_sweep

    wanted = load_sweep(space)
    search = Search(wanted, name or Path(space).stem, data_dir(data), TerminalDisplay())
    search.run(trials or wanted.trials)
    for row in best_rows(search.done()):
        typer.echo(row)
    typer.echo(f"The best trial as a recipe: {search.folder / 'best.toml'}")


def _open(run: str) -> RunFolder:
    return RunFolder.open(settings().runs_dir, run)
