"""Sweeps: what they search, how they go on, and that the best trial is a recipe."""

import csv
import subprocess
import tomllib

import pytest
from optuna.trial import TrialState

from core.errors import RecipeError, RunError
from core.runs.folder import RunFolder, Status
from core.settings import settings
from tests.conftest import ROOT
from tests.train.conftest import command, folders
from train.display import TerminalDisplay
from train.recipe import load_recipe
from train.sweep import Search, available_sweeps, load_sweep
from train.toml import to_toml

SPACE = """
recipe = "{recipe}"
overrides = ["mode=frozen", "epochs=2"]
trials = 3

[space]
"optimizer.learning_rate" = {{ low = 1e-4, high = 1e-1, log = true }}
batch_size = {{ choices = [8, 16] }}
"""


@pytest.fixture
def sweep_file(tiny, tmp_path):
    path = tmp_path / "tiny-sweep.toml"
    path.write_text(SPACE.format(recipe=tiny.recipe))
    return path


def search(path, tiny, name="tiny"):
    return Search(load_sweep(str(path)), name, tiny.data, TerminalDisplay(quiet=True))


def test_a_sweep_goes_on_and_its_best_trial_is_a_recipe(tiny, sweep_file):
    with folders(settings().runs_dir, tiny.cache):
        first = search(sweep_file, tiny)
        first.run(1)
        # Another worker was killed in the middle of a trial.
        dead = first.study.ask(dict(first.study.trials[0].distributions))
        RunFolder.create(first.folder / "trials", f"trial-{dead.number:04d}")
        again = search(sweep_file, tiny)
        again.run(3)
    assert len(again.done()) == 3
    assert again.study.trials[dead.number].state == TrialState.FAIL
    # The recipe's own values come first, where the space holds them.
    assert again.study.trials[0].params == {"optimizer.learning_rate": 2e-3, "batch_size": 16}
    assert dead.params in [trial.params for trial in again.done()]
    best = again.study.best_trial
    recipe = load_recipe(str(again.folder / "best.toml"))
    assert recipe.batch_size == best.params["batch_size"]
    assert recipe.optimizer.learning_rate == best.params["optimizer.learning_rate"]
    with (again.folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["trial"] for row in rows} == {str(trial.number) for trial in again.done()}
    run = again._run_of(best.number)
    assert run.status().state == "finished"
    assert len([event for event in run.events()[0] if event["kind"] == "epoch"]) == 2
    assert not list(run.checkpoints.iterdir())
    assert len(list((tiny.cache / "features").glob("*.safetensors"))) >= 2  # computed once, for all trials


def test_a_worker_leaves_alone_what_another_one_tries_just_now(tiny, sweep_file):
    with folders(settings().runs_dir, tiny.cache):
        first = search(sweep_file, tiny)
        busy = first.study.ask()
        run = RunFolder.create(first.folder / "trials", f"trial-{busy.number:04d}")
        run.write_status(Status.starting())  # this very process lives
        second = search(sweep_file, tiny)
        second.run(1)
    states = [trial.state for trial in second.study.trials]
    assert states == [TrialState.RUNNING, TrialState.COMPLETE]


def test_two_workers_share_a_sweep(tiny, sweep_file):
    with folders(settings().runs_dir, tiny.cache):
        work = command("sweep", str(sweep_file), "--data", str(tiny.data), "--name", "shared")
        workers = [
            subprocess.Popen(work, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)
        ]
        printed = [worker.communicate()[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], printed
        study = search(sweep_file, tiny, name="shared").study
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    # The second may have begun a trial when the last one of those wanted came to its end.
    assert 3 <= len(study.trials) <= 4
    assert all("The best trial as a recipe" in words for words in printed)


def test_a_sweep_without_a_completed_trial_is_told_with_its_table(tiny, sweep_file):
    sweep = search(sweep_file, tiny)
    sweep.study.tell(sweep.study.ask(), state=TrialState.PRUNED)
    with pytest.raises(RunError, match="No trial of sweep tiny has come to its end"):
        sweep.write_results()
    assert "pruned" in (sweep.folder / "trials.csv").read_text()
    assert not (sweep.folder / "best.toml").exists()


def test_a_study_is_not_gone_on_with_another_space(tiny, sweep_file):
    with folders(settings().runs_dir, tiny.cache):
        search(sweep_file, tiny)
        sweep_file.write_text(sweep_file.read_text().replace("[8, 16]", "[8, 32]"))
        with pytest.raises(RunError, match=r"began with another space.*--name"):
            search(sweep_file, tiny)


@pytest.mark.parametrize("name", available_sweeps())
def test_a_sweep_that_comes_along_can_be_searched(name):
    assert load_sweep(name).space


BROKEN = {
    "no such value of a recipe": ('"optimizer.speed" = { low = 1, high = 2 }', "optimizer.speed"),
    "an empty range": ("batch_size = { low = 2, high = 2 }", "space.batch_size: expected low and high"),
    "a logarithm of zero": (
        '"balance.sampler_power" = { low = 0, high = 1, log = true }',
        "with log above 0",
    ),
    "a range and choices": ("epochs = { low = 1, high = 2, choices = [1] }", "or choices"),
    "a word that is not known": ("epochs = { lowest = 1 }", "space.epochs.lowest"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sweep_that_cannot_be_is_refused(tmp_path, name):
    line, words = BROKEN[name]
    path = tmp_path / "broken.toml"
    path.write_text(f'recipe = "quick"\n[space]\n{line}\n')
    with pytest.raises(RecipeError, match=words):
        load_sweep(str(path))


def test_an_unknown_sweep_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match="there are quick"):
        load_sweep("slow")


@pytest.mark.parametrize("name", ["quick", "lite0"])
def test_what_is_written_as_toml_reads_as_it_was(name):
    values = load_recipe(name, ['about="a \\"quoted\\" text, ä\\u007f"']).to_json()
    assert load_recipe_text(to_toml(values)) == values


def load_recipe_text(text):
    from train.recipe import recipe_from

    return recipe_from(tomllib.loads(text), "test").to_json()
