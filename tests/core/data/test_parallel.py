"""Work in several threads comes whole, and no more of it waits than there are hands."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.data.parallel import as_they_come, in_parallel

WORKERS = 3


@pytest.mark.parametrize("items", [0, 1, 2, WORKERS, 50])
@pytest.mark.parametrize("workers", [1, WORKERS])
def test_everything_is_done_once(items, workers):
    assert sorted(in_parallel(abs, list(range(-items, 0)), workers)) == list(range(1, items + 1))


def test_no_more_is_handed_out_than_can_be_done_soon():
    handed = []

    def items() -> Iterator[int]:
        for item in range(100):
            handed.append(item)
            yield item

    with ThreadPoolExecutor(WORKERS) as pool:
        results = as_they_come(pool, abs, items(), WORKERS)
        for got in range(1, 51):
            next(results)
            assert len(handed) <= got + WORKERS + 1
        results.close()
    assert len(handed) < 100


def test_a_failure_reaches_who_listens_and_ends_the_rest():
    done = []

    def work(item: int) -> int:
        done.append(item)
        if item == 2:
            raise ValueError("two")
        return item

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="two"):
        list(as_they_come(pool, work, range(100), 1))
    assert len(done) < 10
