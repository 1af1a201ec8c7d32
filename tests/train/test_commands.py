"""The command line: finish, evaluate and score, what they write and what they refuse."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.data.facts import Facts
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import make_dataset
from core.errors import DataError, EvaluationError, LesionLensError, RunError
from core.evaluate.artifact import Evaluation
from core.evaluate.operating import Wish, choose_threshold
from core.labels import CODE_OF_ISIC_COLUMN, CODES, ISIC_2018_COLUMNS
from core.models.card import model_card
from core.models.catalog import folder_of
from core.models.checkpoint import CARD_FILE, load_checkpoint, read_manifest, write_manifest
from core.models.hub.publication import material_of
from core.models.reference import parse_reference
from core.predict.many import VIEWS
from core.predict.scoring import NamedPicture, Way, isic_csv, score_pictures
from core.settings import settings
from tests.conftest import ROOT
from tests.train.conftest import folders, trainer
from train import parts
from train.__main__ import ViewCount, app
from train.evaluate import evaluate_checkpoint
from train.finish import DATA, LICENCE, origin_of, reference_of
from train.predicting import predict_pictures
from train.score import pictures_in, score_folder


@pytest.fixture
def checkpoint(tiny):
    return load_checkpoint(tiny.run.path / "checkpoint", reference=tiny.reference)


@pytest.fixture
def pictures(tmp_path):
    """Six pictures in two folders, one of them turned and one broken."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(6):
        shape = (80, 60, 3) if number == 3 else (60, 80, 3)
        place = folder / "more" if number > 3 else folder
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(place / f"P{number}.png")
    (folder / "P2.png").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not a picture either")
    return folder


def invoke(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_a_finished_run_is_a_checkpoint_with_its_evaluation(tiny, checkpoint):
    manifest = checkpoint.manifest
    evaluation = Evaluation.load(tiny.run.path / "evaluation")
    split = Split.load(tiny.run.path / "split.csv")
    assert manifest.name == "tiny"
    assert manifest.split_hash == split.hash == evaluation.split_hash
    assert set(evaluation.table["image_id"]) == set(
        split.table.loc[split.table["split"] == "test", "image_id"]
    )
    assert manifest.metrics["accuracy"]["value"] == pytest.approx(evaluation.metrics["accuracy"].value)
    assert manifest.training["weights"] == "random weights, as asked"
    assert checkpoint.statistics is not None
    assert evaluation.checkpoint == "run:tiny"
    card = (tiny.run.path / "checkpoint" / "README.md").read_text()
    assert "Not a medical device" in card
    assert "| balanced_accuracy |" in card


def test_calibrate_gives_an_older_checkpoint_what_finish_gives_a_new_one(tiny, checkpoint, tmp_path):
    fitted = checkpoint.manifest
    assert fitted.held_out is not None
    assert sum(fitted.held_out.sets.n_lesions) > 0
    folder = shutil.copytree(tiny.run.path / "checkpoint", tmp_path / "older")
    older = replace(fitted, held_out=None, limits=None, balanced_power=0.123)
    write_manifest(folder, older)
    (folder / CARD_FILE).write_text(model_card(older) + "Ask Ada before you use this.")
    assert load_checkpoint(folder).manifest.limits is None
    done = invoke("calibrate", "--checkpoint", f"local:{folder}", "--data", str(tiny.data))
    assert done.exit_code == 0, done.output
    again = load_checkpoint(folder).manifest
    assert again.held_out.sets.n_lesions == fitted.held_out.sets.n_lesions
    np.testing.assert_allclose(again.held_out.sets.least, fitted.held_out.sets.least, atol=1e-4)
    assert again.limits.energy == pytest.approx(fitted.limits.energy, abs=1e-3)
    # A finished run is fitted before its weights are halved, and distances tell these apart.
    assert again.limits.together == pytest.approx(fitted.limits.together, rel=0.1)
    assert replace(again, held_out=None, limits=None) == replace(fitted, held_out=None, limits=None)
    assert f"power {fitted.balanced_power:.1f} of the balanced prior" in done.output
    # What somebody wrote on the card stays.
    assert (folder / CARD_FILE).read_text() == model_card(again) + "Ask Ada before you use this."


def test_what_fit_printed_names_the_checkpoint_and_every_metric(tiny):
    assert "--checkpoint run:tiny" in tiny.printed
    measured = read_manifest(tiny.run.path / "checkpoint").metrics
    assert {"balanced_accuracy", "balanced_accuracy (balanced prior)"} <= set(measured)
    assert [name for name in measured if f"  {name} " not in tiny.printed] == []
    # Three balanced accuracies, and which is of what.
    assert "as common as in the train part; (balanced prior) of answers" in tiny.printed
    assert "The epochs were scored on val, before" in tiny.printed
    assert re.search(r"\bnan\b", tiny.printed) is None


@pytest.mark.parametrize(
    ("ids", "data", "licence"),
    [
        (["ISIC_0024306", "ISIC_0034320", "ISIC_0025000_aug03"], DATA, LICENCE),
        (["ISIC_0024306", "ISIC_0034321"], "not recorded", "not recorded"),
        (["ISIC_0024306", "PAT_1_2_3"], "not recorded", "not recorded"),
        (["SYN_0000001", "SYN_4000002"], "synthetic pictures, drawn by a program", "not recorded"),
        (["SYN_0000001", "ISIC_0024306"], "not recorded", "not recorded"),
    ],
)
def test_a_checkpoint_claims_only_data_that_its_pictures_are(ids, data, licence):
    assert origin_of(pd.DataFrame({"image_id": ids})) == (data, licence)


def test_a_run_on_drawn_pictures_says_so_and_claims_no_other_data(checkpoint, tiny):
    assert checkpoint.manifest.data == "synthetic pictures, drawn by a program"
    assert checkpoint.manifest.licence == "not recorded"
    assert "HAM10000" not in (tiny.run.path / "checkpoint" / "README.md").read_text()


def test_only_a_bundled_folder_is_called_bundled(tmp_path):
    assert reference_of(ROOT / "core" / "bundled" / "checkpoints" / "x") == "bundled:x"
    assert reference_of(tmp_path / "x") == f"local:{tmp_path / 'x'}"


def test_a_runs_own_checkpoint_is_called_by_the_run_and_not_by_its_path(tiny):
    folder = tiny.run.path / "checkpoint"
    assert reference_of(folder) == tiny.reference
    with folders(tiny.run.path.parent, tiny.cache):
        assert reference_of(folder) == "run:tiny"
        assert folder_of(parse_reference("run:tiny")) == folder


def test_finish_writes_elsewhere_and_passes_over_unreadable_pictures(tiny, tmp_path):
    data = make_dataset(tmp_path / "data", images_per_class=20, seed=3, size_px=(60, 80))
    split = Split.load(tiny.run.path / "split.csv").table
    paths = {path.stem: path for path in data.rglob("*.jpg")}
    for name in ("val", "train", "test"):
        paths[split.loc[split["split"] == name, "image_id"].iloc[0]].write_bytes(b"broken")
    run = shutil.copytree(tiny.run.path, tmp_path / "run")
    with folders(tmp_path, tiny.cache):
        finished = invoke("finish", str(run), "--data", str(data), "--out", str(tmp_path / "out"))
    assert finished.exit_code == 0, finished.output
    loaded = load_checkpoint(tmp_path / "out")
    assert loaded.manifest.name == "out"
    assert loaded.manifest.metrics["accuracy"]["n_images"] == (split["split"] == "test").sum() - 1
    # The answers lie with the checkpoint that gave them; those of the run's own stay.
    assert Evaluation.load(tmp_path / "out" / "evaluation").checkpoint == f"local:{tmp_path / 'out'}"
    kept = Evaluation.load(run / "evaluation")
    assert kept.digest == Evaluation.load(tiny.run.path / "evaluation").digest
    found = material_of(f"local:{tmp_path / 'out'}", tmp_path)
    assert found.evaluation == tmp_path / "out" / "evaluation"


def test_finish_of_a_run_without_a_best_epoch_is_refused(tiny, tmp_path):
    run = tmp_path / "runs" / "new"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "split.csv"):
        (run / name).write_bytes((tiny.run.path / name).read_bytes())
    with pytest.raises(RunError, match=r"best\.safetensors is not a whole training state"):
        raise invoke("finish", str(run)).exception


def test_evaluate_measures_any_part_again(tiny, checkpoint, tmp_path):
    out = tmp_path / "artifact"
    (out / "parts").mkdir(parents=True)
    (out / "parts" / "clean-clean-0.npy").touch()  # what robustness keeps in the same folder
    (out / "answered").mkdir()
    (out / "answered" / "mine.txt").touch()
    done = invoke("evaluate", "--checkpoint", tiny.reference, "--data", str(tiny.data), "--out", str(out))
    assert done.exit_code == 0, done.output
    again, before = Evaluation.load(out), Evaluation.load(tiny.run.path / "evaluation")
    assert np.allclose(again.probabilities, before.probabilities, atol=1e-6)
    assert again.metrics.keys() == before.metrics.keys()
    assert (out / "parts" / "clean-clean-0.npy").exists()
    assert [path.name for path in (out / "answered").iterdir()] == ["mine.txt"]


def test_a_stopped_evaluation_goes_on_where_it_was(tiny, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PICTURES", 8)
    metadata = read_dataset(tiny.data)
    measure = partial(
        evaluate_checkpoint, checkpoint, metadata, Split.of(metadata, seed=5), "val", name="x",
        keep=tmp_path / "parts",
    )  # fmt: skip

    class Stopped(Exception):
        pass

    def stop(done, total):
        if done > 8:
            raise Stopped

    with pytest.raises(Stopped):
        measure(progress=stop)
    (first,) = (tmp_path / "parts").iterdir()
    written = first.stat().st_mtime_ns
    counted = []
    found = measure(progress=lambda *done: counted.append(done[0]))
    assert min(counted) > 8
    assert counted[-1] == found.n_images
    assert first.stat().st_mtime_ns == written
    # A part that was cut short, by a full disk or a power cut, is answered again.
    for size in (first.stat().st_size // 2, 0):
        os.truncate(first, size)
        assert np.array_equal(measure().probabilities, found.probabilities)
        assert first.stat().st_size > size
    # Facts decide too: with others, nothing that was kept is taken.
    before = len(list((tmp_path / "parts").iterdir()))
    evaluate_checkpoint(
        checkpoint, metadata.assign(age_years=float("nan")), Split.of(metadata, seed=5), "val", name="x",
        keep=tmp_path / "parts",
    )  # fmt: skip
    assert len(list((tmp_path / "parts").iterdir())) == 2 * before
    whole = evaluate_checkpoint(checkpoint, metadata, Split.of(metadata, seed=5), "val", name="x")
    assert np.allclose(found.probabilities, whole.probabilities, atol=1e-6)


def test_processes_that_see_other_disks_answer_the_same_parts_together(tiny, tmp_path):
    program = """
import os
from pathlib import Path
import numpy as np
from accelerate import PartialState
from core.models.checkpoint import load_checkpoint
from train.parts import predict_kept
paths = sorted(Path({data!r}).rglob("*.jpg"))[:4]
checkpoint = load_checkpoint(Path({folder!r}), reference="local:tiny")
facts = np.full((4, 3), np.nan, dtype=np.float32)
keep = Path({out!r}) / os.environ["RANK"]
predict_kept(checkpoint, paths, facts, keep=keep)  # only the first writes
found, _ = predict_kept(checkpoint, paths, facts, keep=keep)
PartialState().destroy_process_group()  # as the command line does
assert np.isfinite(found).all() and found.shape == (4, 7)
"""
    file = tmp_path / "program.py"
    names = {"data": tiny.data, "folder": tiny.run.path / "checkpoint", "out": tmp_path}
    file.write_text(program.format(**{name: str(path) for name, path in names.items()}))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*torchrun, file], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "0").iterdir())) == 1
    assert not list((tmp_path / "1").iterdir())


def test_an_evaluation_carries_what_thresholds_and_subgroups_need(tiny, checkpoint):
    evaluation = Evaluation.load(tiny.run.path / "evaluation")
    split = Split.load(tiny.run.path / "split.csv").table
    assert set(evaluation.val["image_id"]) == set(split.loc[split["split"] == "val", "image_id"])
    # The thresholds that the checkpoint carries are those that its validation answers give.
    for point in checkpoint.manifest.operating_points:
        chosen = choose_threshold(evaluation, Wish("sensitivity", point.target_sensitivity))
        assert chosen.threshold == pytest.approx(point.threshold, abs=1e-3)
    assert evaluation.table["brightness"].between(0, 255).all()
    assert evaluation.model["parameters"] == sum(one.numel() for one in checkpoint.network.parameters())
    assert evaluation.model["training_images"] > 0


def test_evaluate_refuses_another_split(tiny, checkpoint):
    metadata = read_dataset(tiny.data)
    with pytest.raises(EvaluationError, match="its test pictures may have been trained on"):
        evaluate_checkpoint(checkpoint, metadata, Split.of(metadata, seed=99), "test", name="x")


def test_evaluate_refuses_a_part_without_readable_pictures(tiny, checkpoint, tmp_path):
    metadata = read_dataset(tiny.data)
    split = Split.of(metadata, seed=5)
    with pytest.raises(EvaluationError, match="No picture of the val split is here"):
        evaluate_checkpoint(checkpoint, metadata.assign(image_path=pd.NA), split, "val", name="x")
    (tmp_path / "b.jpg").write_bytes(b"broken")
    broken = metadata.assign(image_path=str(tmp_path / "b.jpg"))
    with pytest.raises(EvaluationError, match=r"can be read; the first: b\.jpg"):
        evaluate_checkpoint(checkpoint, broken, split, "val", name="x")


def test_evaluate_answers_val_only_for_an_artifact(tiny, monkeypatch):
    answered = []

    def noting(*arguments, **options):
        answered.append(len(arguments[1]))
        return predict_pictures(*arguments, **options)

    monkeypatch.setattr("train.evaluate.predict_pictures", noting)
    done = invoke("evaluate", "--checkpoint", tiny.reference, "--data", str(tiny.data))
    assert done.exit_code == 0, done.output
    assert "balanced_accuracy (balanced prior)" in done.output
    assert len(answered) == 1


def test_score_writes_one_row_a_picture_and_says_by_exit_code_what_it_skipped(tiny, pictures, tmp_path):
    out = tmp_path / "answers" / "predictions.csv"
    done = invoke("score", "--checkpoint", tiny.reference, "--images", str(pictures), "--out", str(out))
    assert done.exit_code == 3
    assert "skipped P2.png: P2.png" in done.stderr
    assert "5 pictures answered, 0 of them with facts" in done.stdout
    assert "The prior is data; 16 views" in done.stdout
    table = pd.read_csv(out)
    assert list(table.columns) == ["image", *ISIC_2018_COLUMNS]
    assert list(table["image"]) == ["P0", "P1", "P3", "P4", "P5"]
    assert np.allclose(table[list(ISIC_2018_COLUMNS)].sum(axis=1), 1, atol=1e-5)


TO_ALL = Way(gated=False)


def scored(checkpoint, pictures, out, *, way=TO_ALL, **options):
    done = score_folder(checkpoint, pictures, out, way=way, **options)
    table = pd.read_csv(out).set_index("image")
    return done, table.rename(columns=CODE_OF_ISIC_COLUMN)[list(CODES)].to_numpy()


def test_score_answers_as_one_picture_is_answered(checkpoint, pictures, tmp_path):
    _, answers = scored(checkpoint, pictures, tmp_path / "a.csv")
    from core.data.facts import Facts
    from core.data.pictures import read_picture
    from core.predict.predictor import answer, look

    pixels = read_picture(pictures / "P3.png", name="P3.png").pixels
    prediction = answer(checkpoint, look(checkpoint, pixels), Facts())
    assert np.allclose(answers[2], prediction.probabilities, atol=1e-4)


def test_score_writes_the_very_csv_that_the_predict_page_offers(checkpoint, pictures, tmp_path):
    from dataclasses import replace

    from core.data.facts import Facts

    # The tiny checkpoint knows next to nothing; without its limits only blank pictures are refused.
    open_to_all = replace(checkpoint, statistics=None, manifest=replace(checkpoint.manifest, limits=None))
    Image.new("RGB", (80, 60), (99, 99, 99)).save(pictures / "blank.png")
    done = score_folder(open_to_all, pictures, tmp_path / "a.csv")
    brought = [NamedPicture(path.name, path.read_bytes()) for path in pictures_in(pictures)]
    on_the_page = score_pictures(open_to_all, brought, [Facts()] * len(brought), threshold=0.5)
    assert (tmp_path / "a.csv").read_bytes() == isic_csv(on_the_page)
    assert set(done.unanswered) == {"P2.png", "blank.png"}
    assert done.answered == 5


def test_score_takes_facts_from_a_table(checkpoint, pictures, tmp_path):
    (tmp_path / "facts.csv").write_text("image_id,age,sex\nP0,80,male\nP5,20,female\nX,1,male\n")
    without, plain = scored(checkpoint, pictures, tmp_path / "a.csv")
    done, informed = scored(checkpoint, pictures, tmp_path / "b.csv", metadata=tmp_path / "facts.csv")
    assert (without.with_facts, done.with_facts) == (0, 2)
    changed = np.abs(plain - informed).max(axis=1) > 1e-6
    assert list(changed) == [True, False, False, False, True]


def test_the_balanced_prior_changes_answers_that_still_sum_to_one(checkpoint, pictures, tmp_path):
    from dataclasses import replace

    skewed = replace(
        checkpoint,
        manifest=replace(
            checkpoint.manifest,
            class_frequencies=(0.03, 0.05, 0.11, 0.01, 0.11, 0.67, 0.02),
            balanced_power=0.5,
        ),
    )
    _, plain = scored(skewed, pictures, tmp_path / "a.csv")
    _, balanced = scored(skewed, pictures, tmp_path / "b.csv", way=Way(prior="balanced", gated=False))
    assert np.allclose(balanced.sum(axis=1), 1, atol=1e-5)
    nevus, fibroma = CODES.index("nv"), CODES.index("df")
    assert (balanced[:, nevus] < plain[:, nevus]).all()
    assert (balanced[:, fibroma] > plain[:, fibroma]).all()


@pytest.mark.parametrize("views", VIEWS)
def test_views_average_what_a_turned_picture_is_answered(checkpoint, pictures, tmp_path, views):
    """With all orientations averaged, a flipped picture gets the answer of the picture itself."""
    pixels = np.asarray(Image.open(pictures / "P0.png"))
    Image.fromarray(pixels[::-1, ::-1]).save(tmp_path / "turned.png")
    unknown = np.full((2, 3), np.nan, dtype=np.float32)
    paths = [pictures / "P0.png", tmp_path / "turned.png"]
    predicted = predict_pictures(checkpoint, paths, unknown, views=views)
    assert predicted.logits.shape == (2, 7)
    assert predicted.features.shape[0] == 2
    alone = predict_pictures(checkpoint, paths, unknown, views=1)
    # What is known of a picture is known of the whole of it, however often it is looked at.
    np.testing.assert_allclose(predicted.features, alone.features, rtol=1e-4, atol=1e-5)
    apart, together = (
        np.abs(alone.logits[0] - alone.logits[1]).max(),
        np.abs(predicted.logits[0] - predicted.logits[1]).max(),
    )
    assert apart > 0
    assert together == apart if views == 1 else together < apart / 10


def test_the_number_of_views_is_how_many_there_are():
    for number, views in VIEWS.items():
        assert len(views.turns) * len(views.shares) == number
        assert views.shares[0] == 1
    assert {count.value for count in ViewCount} == {str(number) for number in VIEWS}


def test_sixteen_views_are_the_mean_of_the_whole_and_its_middle(checkpoint, tmp_path):
    whole = np.full((60, 80, 3), 20, dtype=np.uint8)
    whole[6:54, 8:72] = 230
    unknown = np.full((1, 3), np.nan, dtype=np.float32)

    def answered(name: str, pixels: np.ndarray, views: int) -> np.ndarray:
        Image.fromarray(pixels).save(tmp_path / name)
        return predict_pictures(checkpoint, [tmp_path / name], unknown, views=views).logits[0]

    apart = answered("whole.png", whole, 8), answered("middle.png", whole[6:54, 8:72], 8)
    together = answered("whole.png", whole, 16)
    difference = np.abs(apart[0] - apart[1]).max()
    assert difference > 1e-4
    assert np.abs(together - np.mean(apart, axis=0)).max() < difference / 20


@pytest.mark.parametrize("views", VIEWS)
def test_what_is_known_is_judged_by_the_whole_picture(checkpoint, pictures, views):
    brought = [NamedPicture("P0.png", (pictures / "P0.png").read_bytes())]
    once = score_pictures(checkpoint, brought, [Facts()])
    often = score_pictures(checkpoint, brought, [Facts()], way=Way(views=views))
    assert list(often["problem"]) == list(once["problem"])
    assert often["problem"][0]


def test_score_takes_all_views_where_nobody_says_how_many(checkpoint, pictures, tmp_path):
    (pictures / "P2.png").unlink()
    told = invoke(
        "score",
        "--checkpoint",
        str(checkpoint.reference),
        "--images",
        str(pictures),
        "--out",
        str(tmp_path / "told.csv"),
    )
    assert told.exit_code == 0, told.output
    scored(checkpoint, pictures, tmp_path / "asked.csv", way=Way(views=max(VIEWS), gated=False))
    written, asked = (pd.read_csv(tmp_path / f"{name}.csv", index_col="image") for name in ("told", "asked"))
    pd.testing.assert_frame_equal(written, asked, atol=1e-5)


def test_rows_of_unreadable_pictures_are_nan(checkpoint, pictures):
    unknown = np.full((2, 3), np.nan, dtype=np.float32)
    seen = []
    predicted = predict_pictures(
        checkpoint,
        [pictures / "P2.png", pictures / "P0.png"],
        unknown,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert set(predicted.unreadable) == {0}
    assert np.isnan(predicted.logits[0]).all()
    assert np.isfinite(predicted.logits[1]).all()
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: folder.rmdir(), "There is no folder"),
        (lambda folder: (folder / "a.txt").write_text(""), "holds no pictures; expected files ending in"),
        (lambda folder: [(folder / name).touch() for name in ("a.jpg", "a.png")], "have one name"),
    ],
)
def test_a_folder_that_cannot_be_scored_is_refused(tmp_path, prepare, words):
    folder = tmp_path / "pictures"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(DataError, match=words):
        pictures_in(folder)


def test_a_folder_of_broken_pictures_is_refused_with_the_first_reason(checkpoint, tmp_path):
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(DataError, match=r"None of the 2 pictures.*the first: a\.jpg"):
        score_folder(checkpoint, tmp_path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "lite9", "--data", "."],
        ["fit", "lite0", "--data", "."],
        ["fit", "lite0", "--data", ".", "--set", "epochs=x"],
        ["resume", "nobody"],
        ["finish", "nobody"],
        ["evaluate", "--checkpoint", "local:nowhere", "--data", "."],
        ["score", "--checkpoint", "what", "--images", ".", "--out", "x.csv"],
    ],
)
def test_a_mistake_is_one_of_our_errors_with_a_message(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert isinstance(result.exception, LesionLensError), result.exception
    assert str(result.exception)
    assert not settings().runs_dir.exists()


def test_a_mistake_is_told_in_one_sentence_and_exit_code_1():
    refused = trainer("resume", "nobody")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("There is no run 'nobody' in ")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_missing_dataset_names_the_option_and_the_setting():
    refused = invoke("fit", "lite0")
    assert refused.exit_code == 2
    assert "--data" in refused.output
    assert "LESIONLENS_DATA" in refused.output


COMMANDS = [
    "recipes",
    "show",
    "fit",
    "resume",
    "pause",
    "stop",
    "delete",
    "queue",
    "work",
    "estimate",
    "sweep",
    "finish",
    "evaluate",
    "score",
]


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_reads_well(name):
    shown = invoke(*([name] if name else []), "--help")
    assert shown.exit_code == 0
    assert "Usage: " in shown.output
    assert "Annotated" not in shown.output
    if name is None:
        assert all(f"  {command} " in shown.output for command in COMMANDS)


def test_recipes_are_listed_with_their_purpose():
    lines = invoke("recipes").output.splitlines()
    assert any(line.startswith("lite0 ") and "default checkpoint" in line for line in lines)


def test_help_and_recipes_answer_without_loading_torch():
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom train.__main__ import app\n"
        "for words in (['--help'], ['fit', '--help'], ['recipes']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0\n"
        "print(sorted({'torch', 'timm', 'torchvision', 'accelerate'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
