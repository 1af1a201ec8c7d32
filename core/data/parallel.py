"""Work on many items at once: in processes for a command, in threads for a page."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int | None
) -> Iterator[Result]:
    """Yield what `work` makes of each item, as it comes, from several workers where that pays.

    work: a function of a module. workers: None is one a processor.
    """
    workers = min(workers or os.cpu_count() or 1, len(items))
    if workers <= 1 or len(items) <= 2:
        yield from map(work, items)
        return
    with _pool(workers) as pool:
        yield from as_they_come(pool, work, items, workers)


def as_they_come(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield what a pool of `workers` makes of each item, as it comes; one more than these waits its turn.

    Whoever stops listening (a cancelled job, Ctrl-C) so waits for what is at work, not for all: an
    interpreter that ends has its pools finish whatever they were given.
    """
    waiting: set[Future[Result]] = set()
    try:
        for item in items:
            waiting.add(pool.submit(work, item))
            if len(waiting) > workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        for future in as_completed(waiting):
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def _pool(workers: int) -> Executor:
    if threading.current_thread() is threading.main_thread():
        # Spawned, since forking a process that has torch's threads can deadlock.
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    # A page's script or job: Streamlit has put the script in the place of the main module, and a spawned
    # process would run it again.
    return ThreadPoolExecutor(workers)
