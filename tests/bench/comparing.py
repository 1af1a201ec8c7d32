"""What the Compare page's engine costs: all metrics of many models under 2,000 resamples of lesions."""

import time

import numpy as np
import pandas as pd

from core.evaluate.intervals import lesion_weights, resampled
from core.evaluate.metrics import METRICS, Metric, at_threshold, melanoma_sensitivity
from tests.bench.measuring import in_turns

_PHOTOS_A_LESION = 1.34  # HAM10000's own


def compare(*, models: int, lesions: int, resamples: int, rounds: int) -> None:
    """Print what each metric costs over all models: on the clock, and of this process's processors."""
    metrics: dict[str, Metric] = {
        **METRICS, **at_threshold(0.1), "melanoma_sensitivity": melanoma_sensitivity(0.1),
    }  # fmt: skip
    truth, answers, lesion_ids = _draw(models, lesions)
    print(
        f"{models} models, {len(truth):,} pictures of {lesions:,} lesions, {resamples:,} resamples, "
        f"{len(metrics)} metrics; median of {rounds} rounds\n"
    )
    weights = lesion_weights(lesion_ids, resamples=resamples)
    tasks = {"the draws, once": lambda: lesion_weights(lesion_ids, resamples=resamples)} | {
        name: lambda metric=metric: [resampled(metric, truth, one, weights) for one in answers]
        for name, metric in metrics.items()
    }
    elapsed, work = (
        {
            name: float(np.median(found)) / 1000
            for name, found in in_turns(tasks, rounds=rounds, clock=clock).items()
        }
        for clock in (time.perf_counter, time.process_time)
    )
    print(f"  {'':24} {'elapsed':>9} {'work':>9}")
    for name in sorted(tasks, key=lambda name: -work[name]):
        print(f"  {name:24} {elapsed[name]:7.2f} s {work[name]:7.2f} s")
    print(f"  {'all together':24} {sum(elapsed.values()):7.2f} s {sum(work.values()):7.2f} s")


def _draw(models: int, lesions: int) -> tuple[np.ndarray, list[np.ndarray], pd.Series]:
    generator = np.random.default_rng(0)
    lesion_ids = np.repeat(np.arange(lesions), generator.poisson(_PHOTOS_A_LESION - 1, lesions) + 1)
    shares = [0.033, 0.051, 0.110, 0.011, 0.111, 0.670, 0.014]
    truth = generator.choice(7, size=lesions, p=shares)[lesion_ids]
    answers = []
    for _ in range(models):
        logits = generator.normal(size=(len(truth), 7))
        logits[np.arange(len(truth)), truth] += 2
        powers = np.exp(logits)
        answers.append(powers / powers.sum(axis=1, keepdims=True))
    return truth, answers, pd.Series(lesion_ids)
