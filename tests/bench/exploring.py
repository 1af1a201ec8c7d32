"""What a filter costs on the Explore page: counting, a gallery's page, the whole rerun, and memory."""

import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from streamlit.testing.v1 import AppTest

from core.data.counts import bundled_facts
from core.data.facets import Facets
from core.data.gallery import order_rows, page_of
from core.data.readers import read_dataset
from core.data.selection import Selection
from core.data.summary import crosstab, summarise
from core.settings import REPOSITORY, settings
from tests.bench.measuring import in_turns

COPIES = (1, 10)
_LASSO = 3000
_FILTERS_FOR_MEMORY = 200

Tasks = dict[str, Callable[[], object]]


def compare(*, rounds: int) -> None:
    """Print what filters cost on HAM10000's facts, once and ten times over, and how the two compare."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["LESIONLENS_CACHE"] = str(Path(temporary) / "cache")
        folders = [_folder(Path(temporary) / f"times-{copies}", copies) for copies in COPIES]
        tables = [read_dataset(folder) for folder in folders]
        sizes = " and ".join(f"{len(table):,}" for table in tables)
        print(f"Filters of {sizes} rows, median of {rounds} rounds")
        print("elapsed: on the clock, whatever else runs; work: of this process's processors\n")
        tasks = [_counting(table) | _rerun(folder) for table, folder in zip(tables, folders, strict=True)]
        _print(*(_times(each, rounds=rounds) for each in tasks))
        for table in tables:
            _print_memory(table)


def _folder(folder: Path, copies: int) -> Path:
    """Write HAM10000's facts, so many times over, as a dataset folder without pictures."""
    facts = bundled_facts().rename(columns={"age_years": "age", "site": "localization"})
    tables = [
        facts.assign(image_id=facts["image_id"] + f"-{copy}", lesion_id=facts["lesion_id"] + f"-{copy}")
        for copy in range(copies)
    ]
    folder.mkdir()
    columns = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    pd.concat(tables)[columns].to_csv(folder / "HAM10000_metadata.csv", index=False)
    return folder


def _counting(table: pd.DataFrame) -> Tasks:
    filters = itertools.cycle(_filters(table))
    lasso = Selection().with_images(table["image_id"].sample(_LASSO, random_state=0))
    address = lasso.to_query()
    wide = Selection().with_ages(20, 80).choose(table)
    return {
        "a table's columns as numbers, once": lambda: Facets.of(table.copy(deep=False)),
        "filter: which rows fit": lambda: next(filters).mask(table),
        "filter: the rows themselves": lambda: next(filters).choose(table),
        "filter, then all summaries of images": lambda: summarise(table, next(filters), "images"),
        "filter, then all summaries of lesions": lambda: summarise(table, next(filters), "lesions"),
        "filter, then one cross table": lambda: crosstab(
            next(filters).facets(table), "dx", "site", "lesions"
        ),
        f"read a lasso of {_LASSO:,} from an address": lambda: Selection.parse(address, table),
        "sort a gallery and turn to page 20": lambda: page_of(wide, order_rows(wide, "age_years"), 20),
    }


def _filters(table: pd.DataFrame) -> list[Selection]:
    """Return one filter a site, with another column, with ages or with a lasso."""
    sites = Facets.of(table).columns["site"].words
    by_site = [Selection().only("site", [site]) for site in sites]
    lasso = table["image_id"].iloc[::4]
    changes: list[Callable[[Selection], Selection]] = [
        lambda selection: selection,
        lambda selection: selection.only("dx", ["mel", "nv"]),
        lambda selection: selection.with_ages(30, 70),
        lambda selection: selection.with_images(lasso),
    ]
    return [changes[place % len(changes)](selection) for place, selection in enumerate(by_site)]


def _rerun(folder: Path) -> Tasks:
    """Return the page's rerun after a click, all of it but the browser."""
    # AppTest runs outside of a server, which Streamlit says again and again.
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").setLevel(logging.ERROR)
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=300)
    app.switch_page("pages/explore.py")
    sites = itertools.cycle(["back", "face", "abdomen", "chest"])

    def click() -> None:
        os.environ["LESIONLENS_DATA"] = str(folder)
        settings.cache_clear()
        app.query_params["site"] = next(sites)
        app.run()
        if app.exception:
            raise RuntimeError(app.exception[0].message)

    return {"rerun of the page with all its charts": click}


def _times(tasks: Tasks, *, rounds: int) -> dict[str, tuple[float, float]]:
    """Return each task's median ms on the clock and of processor time."""
    elapsed = in_turns(tasks, rounds=rounds)
    work = in_turns(tasks, rounds=rounds, clock=time.process_time)
    return {name: (float(np.median(elapsed[name])), float(np.median(work[name]))) for name in tasks}


def _print(small: dict[str, tuple[float, float]], large: dict[str, tuple[float, float]]) -> None:
    width = max(map(len, small))
    heads = (f"{f'{copies}×: elapsed':>15} {'work':>9}" for copies in COPIES)
    print(f"  {'':{width}}  {'  '.join(heads)}  {'ratio of work':>13}")
    for name, (elapsed, work) in small.items():
        many_elapsed, many_work = large[name]
        print(
            f"  {name:{width}}  {elapsed:12.2f} ms {work:6.2f} ms  {many_elapsed:12.2f} ms "
            f"{many_work:6.2f} ms  {many_work / work:12.2f}×"
        )
    print()


def _print_memory(table: pd.DataFrame) -> None:
    """Print what a table and its numbers weigh, and what many filters leave behind."""
    facets = Facets.of(table)
    codes = [facet.codes for facet in facets.columns.values()]
    numbers = sum(
        array.nbytes for array in (*codes, facets.ages, facets.lesions, facets.pictured, facets.image_ids)
    )
    filters = itertools.cycle(_filters(table))
    process = psutil.Process()
    for _ in range(20):
        summarise(next(filters).choose(table), Selection(), "lesions")
    before = process.memory_info().rss
    for _ in range(_FILTERS_FOR_MEMORY):
        summarise(next(filters).choose(table), Selection(), "lesions")
    grown = process.memory_info().rss - before
    weight = table.memory_usage(deep=True).sum()
    print(
        f"{len(table):,} rows: table {weight / 2**20:.1f} MB, its numbers {numbers / 2**20:.1f} MB; "
        f"{_FILTERS_FOR_MEMORY} filters later {grown / 2**20:+.1f} MB"
    )
