"""Times measured in turns, and how they are printed."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def in_turns(
    tasks: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Return each task's times in ms, shape (rounds,).

    Every round runs each task once; a first round warms up.

    clock: tells the time in seconds; `time.process_time` counts this process's work alone.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        for name, task in tasks.items():
            started = clock()
            task()
            if turn:
                times[name].append(1000 * (clock() - started))
    return {name: np.array(found) for name, found in times.items()}


def print_times(times: Mapping[str, np.ndarray], *, unit: str) -> None:
    """Print medians, quartiles, and the median of each round's ratio to the task named `unit`."""
    width = max(map(len, times))
    print(f"  {'':{width}}  {'median':>10}  {'quartiles':>19}  {'ratio':>7}")
    for name, found in times.items():
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        ratio = float(np.median(found / times[unit]))
        print(f"  {name:{width}}  {middle:7.2f} ms  {low:8.2f} – {high:8.2f}  {ratio:6.2f}×")
    print()
