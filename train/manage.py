"""Commands that manage runs: show, pause, stop, delete, the queue, its dispatcher, and estimates."""

import json
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
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]

queue = typer.Typer(help="What waits to be trained on this machine, one run at a time.", no_args_is_help=True)


def add_commands(app: typer.Typer) -> None:
    """Add this module's commands to a command line."""
    for command in (show, pause, stop, delete, work):
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
    run: Annotated[
        str | None, typer.Option("--run", help="The run's name. Default: recipe and time.")
    ] = None,
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


def _open(run: str) -> RunFolder:
    return RunFolder.open(settings().runs_dir, run)
