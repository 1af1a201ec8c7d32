"""Work on many items at once: in processes for a command, in threads for a page."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
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
        futures: list[Future[Result]] = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Whoever stops listening (a cancelled job, Ctrl-C) waits for what is at work, not for all.
            pool.shutdown(wait=False, cancel_futures=True)


def _pool(workers: int) -> Executor:
    if threading.current_thread() is threading.main_thread():
        # Spawned, since forking a process that has torch's threads can deadlock.
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    # A page's script or job: Streamlit has put the script in the place of the main module, and a spawned
    # process would run it again.
    return ThreadPoolExecutor(workers)
