"""Measurements as tables: `python -m tests.bench --help` lists them.

No test asserts a time, since a busy machine is no failure. What is compared is measured in turns, round by
round, so that whatever else the machine does falls on all of it alike; the ratios are what counts.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
import typer

if TYPE_CHECKING:
    from core.models.checkpoint import Checkpoint

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Threads = Annotated[int, typer.Option(help="Threads of torch; 0 leaves its own choice.")]


def _use(threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, CPU\n")


@app.command()
def predict(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Names in the registry; random weights.")
    ] = None,
    size: Annotated[int, typer.Option(help="Shorter side of the input, px.")] = 224,
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 15,
    threads: Threads = 0,
) -> None:
    """Compare a prediction with all seven maps with the bare forward pass and with pytorch-grad-cam."""
    from tests.bench.predicting import compare

    _use(threads)
    for model in models or ["efficientnet_lite0", "resnet152"]:
        compare(model, size=size, rounds=rounds)


@app.command()
def memory(
    checkpoint: Annotated[str, typer.Option(help="Its reference; the default one when not given.")] = "",
    predictions: Annotated[int, typer.Option(help="How many in all.")] = 200,
    threads: Threads = 0,
) -> None:
    """Show the memory of a process after 0, 50, ... predictions: it must stay flat."""
    from tests.bench.remembering import watch

    _use(threads)
    watch(checkpoint, predictions=predictions)


@app.command()
def data(
    folder: Annotated[
        Path | None, typer.Option(help="Pictures to decode; synthetic ones when not given.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many pictures.")] = 400,
    size: Annotated[int, typer.Option(help="Side of an augmented picture, px.")] = 224,
    threads: Threads = 0,
) -> None:
    """Measure how fast pictures are decoded into the store, and how fast they are augmented."""
    from tests.bench.feeding import rates

    _use(threads)
    rates(folder, count=count, size=size)


@app.command()
def loader(
    folder: Annotated[
        Path | None, typer.Option(help="Pictures to load; synthetic ones when not given.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many pictures.")] = 640,
    size: Annotated[int, typer.Option(help="Side of an augmented picture, px.")] = 192,
    workers: Annotated[int, typer.Option(help="Processes that prepare pictures.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 3,
    threads: Threads = 0,
) -> None:
    """Compare the image store with a plain ImageFolder: images/s, and how long training steps wait."""
    from tests.bench.loading import compare

    _use(threads)
    compare(folder, count=count, size=size, workers=workers, rounds=rounds)


@app.command()
def explore(
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 15,
) -> None:
    """Measure what a filter costs on the Explore page, with 10,015 rows and with ten times as many."""
    from tests.bench.exploring import compare

    compare(rounds=rounds)


@app.command()
def watching(
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 15,
) -> None:
    """Measure what the Train page costs: ten runs of 10,000 events, a thousand runs, a million events."""
    from tests.bench.watching import compare

    compare(rounds=rounds)


@app.command()
def rivals(
    chromium: Annotated[Path, typer.Option(help="The browser.")] = Path("/usr/bin/chromium"),
    trackio: Annotated[
        Path | None, typer.Option(help="Python of an environment with trackio; left out when not given.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long the processor is watched, each time.")] = 20.0,
) -> None:
    """Show one run by the Train page, TensorBoard and trackio: how soon, how far behind, at what cost."""
    from tests.bench.rivalling import compare

    compare(chromium, trackio, seconds=seconds)


def _checkpoint(reference: str) -> "Checkpoint":
    from core.models.catalog import folder_of
    from core.models.checkpoint import load_checkpoint
    from core.models.reference import parse_reference

    return load_checkpoint(folder_of(parse_reference(reference)), reference=reference)


CheckpointOption = Annotated[str, typer.Option(help="The checkpoint's reference.")]


@app.command("what-if")
def what_if(
    checkpoint: CheckpointOption = "bundled:lesionlens-lite0",
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 15,
    threads: Threads = 0,
) -> None:
    """Compare each "what if" of the Predict page with one bare forward pass."""
    from tests.bench.changing import compare

    _use(threads)
    compare(_checkpoint(checkpoint), rounds=rounds)


@app.command()
def gate(
    data: Annotated[Path, typer.Option(help="HAM10000's folder.")],
    pad: Annotated[Path | None, typer.Option(help="PAD-UFES-20's folder.")] = None,
    checkpoint: CheckpointOption = "bundled:lesionlens-lite0",
    count: Annotated[int, typer.Option(help="Pictures of each dataset.")] = 300,
    threads: Threads = 0,
) -> None:
    """Measure the unknown-input gate: false alarms on test pictures, and what else it refuses."""
    from tests.bench.refusing import report

    _use(threads)
    report(_checkpoint(checkpoint), data, pad, count=count)


@app.command()
def compare(
    models: Annotated[int, typer.Option(help="How many models.")] = 10,
    lesions: Annotated[int, typer.Option(help="How many lesions.")] = 1000,
    resamples: Annotated[int, typer.Option(help="How many resamples of them.")] = 2000,
    rounds: Annotated[int, typer.Option(help="Rounds, in each of which everything is measured once.")] = 3,
) -> None:
    """Measure what all metrics of many models cost with their intervals over resampled lesions."""
    from tests.bench.comparing import compare as measure

    measure(models=models, lesions=lesions, resamples=resamples, rounds=rounds)


if __name__ == "__main__":
    app()
