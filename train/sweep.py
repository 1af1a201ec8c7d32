"""Hyper-parameter search: many short trainings of one recipe, the hopeless ones ended early.

A sweep is a TOML file in train/sweeps: a recipe, a space and a number of trials. Its study lies in SQLite in
the runs folder, `.sweeps/NAME`. Run the same command again to go on, or at the same time, in as many
processes as wanted: they share the trials. A trial trains on train and is judged on val; test is not looked
at. Searching fits val a little, so a trial's score flatters; train the best recipe and measure it on test.
"""

import csv
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
import optuna
import torch
from accelerate import Accelerator
from filelock import FileLock
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from core.data.readers import read_dataset
from core.data.splits import Split
from core.errors import RecipeError, RunError
from core.models.registry import MODELS
from core.runs.control import state_of
from core.runs.folder import LIVE_STATES, RunFolder, Status, checked_name
from core.settings import settings
from train.asked import Stopped
from train.data import Part, class_frequencies, drawn_frequencies, load_training_parts
from train.display import TerminalDisplay
from train.feeds import FEEDS
from train.fit import first_network, make_accelerator, preprocessing_for
from train.journal import Pulse, Station
from train.loop import train_network
from train.recipe import Recipe, load_recipe, recipe_from
from train.toml import to_toml

SWEEPS_DIR: Final = Path(__file__).parent / "sweeps"
FOLDER: Final = ".sweeps"

# Before a trial may be ended for being worse than the median, so many trials are whole, for so many epochs.
_WHOLE_TRIALS: Final = 8
_WHOLE_EPOCHS: Final = 3
_LOCKED_S: Final = 60.0
_DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Range:
    """Where a value is searched: between two numbers, or among choices."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[bool | int | float | str, ...] = ()

    def suggest(self, trial: Trial, name: str) -> bool | int | float | str:
        """Return the value that a trial shall try."""
        if self.choices:
            chosen = trial.suggest_categorical(name, list(self.choices))
            assert chosen is not None  # noqa: S101 - it is one of the choices
            return chosen
        assert self.low is not None  # noqa: S101 - load_sweep refuses others
        assert self.high is not None  # noqa: S101
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Sweep:
    """What is searched: values of a recipe, for the best of a metric of val."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    recipe: str
    space: dict[str, Range]
    trials: Annotated[int, Field(ge=1)] = 50
    metric: Literal["balanced_accuracy", "macro_auc", "accuracy"] = "balanced_accuracy"
    overrides: tuple[str, ...] = field(default_factory=tuple)


def available_sweeps() -> dict[str, Path]:
    """Return the sweeps that come with LesionLens, by name."""
    return {path.stem: path for path in sorted(SWEEPS_DIR.glob("*.toml"))}


def load_sweep(name_or_path: str) -> Sweep:
    """Read a sweep by name or file.

    Raises:
        RecipeError: there is no such sweep, or something in it cannot be; the message names it.
    """
    path = available_sweeps().get(name_or_path, Path(name_or_path))
    try:
        sweep = TypeAdapter(Sweep).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as problem:
        known = ", ".join(available_sweeps())
        raise RecipeError(
            f"There is no sweep {name_or_path!r}; there are {known}, or give a TOML file."
        ) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path.name} is not TOML: {problem}.") from problem
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{path.name}: {where}: {first['msg']}; it is {first['input']!r}.") from problem
    for key, one in sweep.space.items():
        numbers = one.low is not None and one.high is not None and one.low < one.high
        if numbers == bool(one.choices) or (one.log and not (one.low or 0) > 0):
            raise RecipeError(
                f"{path.name}: space.{key}: expected low and high, low being the smaller and with log above "
                "0, or choices."
            )
        load_recipe(
            sweep.recipe,
            [*sweep.overrides, f"{key}={json.dumps(one.choices[0] if one.choices else one.low)}"],
        )
    return sweep


class Search:
    """One process's part in a sweep."""

    def __init__(self, sweep: Sweep, name: str, data_dir: Path, display: TerminalDisplay) -> None:
        self.folder = settings().runs_dir / FOLDER / checked_name(name)
        self._sweep = sweep
        self._display = display
        self._recipe = load_recipe(sweep.recipe, sweep.overrides)
        self._metadata = read_dataset(data_dir)
        self._split = Split.of(self._metadata, seed=self._recipe.seed)
        self._accelerator: Accelerator = make_accelerator(self._recipe)
        self._parts = cache(self._load_parts)
        self._begin(data_dir)
        self.study = self._open_study()

    def run(self, trials: int) -> None:
        """Try until `trials` are done, by all processes together."""
        while (done := len(self.done())) < trials:
            self._display.step(done, trials, self._best_words())
            self.study.optimize(self._try, n_trials=1)
        self._display.step(trials, trials, self._best_words())
        self.write_results()

    def done(self) -> list[FrozenTrial]:
        """Return the trials that have come to an end, best first."""
        ended = self.study.get_trials(deepcopy=False, states=_DONE)
        return sorted(
            ended, key=lambda one: (one.state == TrialState.COMPLETE, one.value or 0.0), reverse=True
        )

    def write_results(self) -> None:
        """Write every trial to trials.csv, and the best one as the recipe best.toml.

        Raises:
            RunError: no trial was completed; trials.csv is written all the same.
        """
        names = list(self._sweep.space)
        with (self.folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["trial", "state", self._sweep.metric, "epochs", *names])
            for one in self.done():
                values = [one.params.get(name) for name in names]
                table.writerow(
                    [one.number, one.state.name.lower(), one.value, len(one.intermediate_values), *values]
                )
        if all(one.state != TrialState.COMPLETE for one in self.done()):
            raise RunError(
                f"No trial of sweep {self.folder.name} has come to its end, so there is no best one; "
                f"{self.folder / 'trials.csv'} lists them. Try more, or narrow the space."
            )
        best = self.study.best_trial
        recipe = load_recipe(self._sweep.recipe, self._overrides(best.params))
        header = (
            f"# Purpose: the best of {len(self.done())} trials of a sweep over {self._sweep.recipe}.\n"
            f"# Command: python -m train fit {self.folder / 'best.toml'} --data DIR\n"
            f"# Result:  trial {best.number}: {self._sweep.metric} {best.value:.3f} on val, best epoch.\n"
            "#          Val chose it, so this flatters. It was not measured on test.\n"
        )
        (self.folder / "best.toml").write_text(header + to_toml(recipe.to_json()), encoding="utf-8")

    def _try(self, trial: Trial) -> float:
        recipe = load_recipe(
            self._sweep.recipe,
            self._overrides({name: one.suggest(trial, name) for name, one in self._sweep.space.items()}),
        )
        best: list[float] = []

        def judge(epoch: int, scores: dict[str, Any]) -> None:
            best.append(max([scores[self._sweep.metric] or 0.0, *best[-1:]]))
            trial.report(best[-1], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        run = self._run_of(trial.number)
        run = RunFolder.create(run.path.parent, run.name)
        run.write_status(Status.starting())
        run.write_config(
            {"recipe": recipe.to_json(), "recipe_name": self._sweep.recipe, "trial": trial.number}
        )
        pulse = Pulse(run, run.status(), self._accelerator)
        try:
            self._train(recipe, Station(run, self._accelerator, TerminalDisplay(quiet=True), pulse), judge)
        except optuna.TrialPruned:
            pulse.tell(
                state="stopped", phase="", message="Ended early: worse than half of the trials before."
            )
            raise
        except Stopped:
            pulse.tell(state="stopped", phase="")
            raise KeyboardInterrupt from None
        except RunError as problem:
            # A loss that is no number is an answer too: these values are no good.
            pulse.tell(state="failed", phase="", message=str(problem))
            raise optuna.TrialPruned from problem
        pulse.tell(state="finished", phase="")
        return best[-1]

    def _train(self, recipe: Recipe, station: Station, judge: Callable[[int, dict[str, Any]], None]) -> None:
        preprocessing = preprocessing_for(MODELS[recipe.model], recipe)
        train, val = self._parts(recipe.size, recipe.gray)
        torch.manual_seed(recipe.seed)
        network, _ = first_network(recipe, self._split.hash)
        drawn = drawn_frequencies(np.array(class_frequencies(train.truth)), recipe.balance)
        network.start_head(drawn)
        feed = FEEDS[recipe.mode](train, val, recipe, preprocessing)
        train_network(network, feed, station, recipe=recipe, judge=judge)

    def _load_parts(self, size: int, gray: bool) -> tuple[Part, Part]:
        recipe = recipe_from(self._recipe.to_json() | {"size": size, "gray": gray}, "the sweep")
        return load_training_parts(
            self._metadata,
            self._split,
            recipe,
            preprocessing_for(MODELS[recipe.model], recipe),
            cache_dir=settings().cache_dir,
            progress=self._display.counting("decoding"),
        )

    def _overrides(self, params: dict[str, Any]) -> list[str]:
        return [*self._sweep.overrides, *(f"{name}={json.dumps(value)}" for name, value in params.items())]

    def _begin(self, data_dir: Path) -> None:
        """Say what is searched, once; refuse to go on with something else under the same name."""
        mine = TypeAdapter(Sweep).dump_python(self._sweep, mode="json") | {
            "data_dir": str(data_dir.resolve()),
            "split_hash": self._split.hash,
        }
        mine.pop("trials")  # more of them may be wanted later
        path = self.folder / "sweep.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".claim", timeout=_LOCKED_S):
                if not path.exists():
                    path.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")
                before = json.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise RunError(
                f"{self.folder} cannot be used ({problem}). Set LESIONLENS_RUNS to another folder."
            ) from problem
        if changed := sorted(key for key in mine.keys() | before.keys() if mine.get(key) != before.get(key)):
            raise RunError(
                f"Sweep {self.folder.name} began with another {' and another '.join(changed)}. Go on with "
                "what it began with, or give this one another --name."
            )

    def _open_study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with FileLock(self.folder / ".claim", timeout=_LOCKED_S):  # tables are made by one
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{self.folder / 'study.db'}",
                engine_kwargs={"connect_args": {"timeout": _LOCKED_S}},
            )
            study = optuna.create_study(
                study_name=self.folder.name,
                storage=storage,
                load_if_exists=True,
                direction="maximize",
                # Workers that search at the same time keep away from what others try just now.
                sampler=optuna.samplers.TPESampler(constant_liar=True),
                pruner=optuna.pruners.MedianPruner(_WHOLE_TRIALS, _WHOLE_EPOCHS),
            )
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(self._own_values(), skip_if_exists=True)
            self._let_go_of_the_dead(study)
        return study

    def _let_go_of_the_dead(self, study: optuna.Study) -> None:
        """Fail the trials of workers that were killed, and let their values be tried again."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            run = self._run_of(trial.number)
            if not run.path.exists() or state_of(run) in LIVE_STATES:
                continue
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=False)

    def _run_of(self, number: int) -> RunFolder:
        return RunFolder(self.folder / "trials" / f"trial-{number:04d}")

    def _own_values(self) -> dict[str, Any]:
        """Return the recipe's own values, where the space holds them: they are tried first."""
        own: dict[str, Any] = {}
        for name, one in self._sweep.space.items():
            value: Any = self._recipe.to_json()
            for part in name.split("."):
                value = value[part]
            if value in one.choices or (
                one.low is not None and one.high is not None and one.low <= value <= one.high
            ):
                own[name] = value
        return own

    def _best_words(self) -> str:
        done = self.done()
        return f"best {self._sweep.metric} {done[0].value:.3f}" if done and done[0].value else "first trial"


def best_rows(trials: Sequence[FrozenTrial], count: int = 5) -> list[str]:
    """Return the best trials as lines of text."""
    return [
        f"trial {one.number:3}  {one.value:.3f}  "
        + ", ".join(
            f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}"
            for name, value in one.params.items()
        )
        for one in trials[:count]
        if one.value is not None
    ]
