"""Publishing through the real client: what is sent, what is not, and that anybody's timm answers the same."""

import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import yaml
from huggingface_hub import constants
from typer.testing import CliRunner

from core import jobs
from core.data.readers import read_dataset
from core.data.splits import Split
from core.data.synthetic import make_dataset
from core.errors import HubError, LesionLensError, RunError
from core.evaluate.artifact import FACT_COLUMNS, PROBABILITY_COLUMNS, Evaluation
from core.evaluate.intervals import lesion_bootstrap
from core.labels import INDEX
from core.models import kept
from core.models.card import model_card
from core.models.checkpoint import load_checkpoint, read_manifest
from core.models.fetching import fetch, fetch_evaluation
from core.models.hub.access import Access
from core.models.hub.publication import Material, json_without_paths, material_of, put_together, without_paths
from core.models.hub.publishing import compare, publish
from core.models.hub.pulling import pull
from core.models.reference import parse_reference
from core.runs.folder import RunFolder, Status
from core.settings import settings
from tests.core.models.making import lesion, lively_network, manifest, write_checkpoint
from tests.hub.double import Account, Fault
from train.__main__ import app

# The Hub's client uploads in a way that its own HTTP library is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "clinic/lesions"
CHECKPOINT_FILES = [
    "config.json",
    "model.safetensors",
    "lesionlens.safetensors",
    "README.md",
    "lesionlens.json",
]
EVALUATION_FILES = ["evaluation/predictions.parquet", "evaluation/metrics.json"]
RUN_FILES = ["split.csv", "run/config.json", "run/events.jsonl", "run/log.txt"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has ended: its checkpoint, its evaluation, its split and its log, with paths in it."""
    root = tmp_path_factory.mktemp("runs")
    data = read_dataset(make_dataset(root / "data", images_per_class=6, seed=0, size_px=(24, 32)))
    split = Split.of(data, seed=0)
    run = RunFolder.create(root, "first")
    run.write_config(
        {"data_dir": "/home/somebody/ham10000", "weights": "local:/home/somebody/old/checkpoint"}
    )
    run.append({"kind": "epoch", "epoch": 1, "loss": 1.5})
    run.log("weights from local:/home/somebody/old/checkpoint, epoch 1/14")
    run.write_status(Status.starting())
    split.save(run.path / "split.csv")
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(7), len(data))
    table = data[list(FACT_COLUMNS)].assign(**dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True)))
    truth = table["dx"].map(INDEX).to_numpy()
    measured = lesion_bootstrap(truth, probabilities, table["lesion_id"], resamples=20)
    Evaluation("first", f"local:{run.path}", "test", split.hash, table, measured, 1, "0.1").save(
        run.path / "evaluation"
    )
    metrics = {
        name: {
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "n_images": one.n,
            "n_lesions": one.n_lesions,
        }
        for name, one in measured.items()
    }
    metrics = {name: entry for name, entry in metrics.items() if not np.isnan(list(entry.values())).any()}
    written = replace(
        manifest(),
        name="first",
        split_hash=split.hash,
        metrics=metrics,
        data="HAM10000",
        licence="CC BY-NC 4.0",
        training={"weights": "local:/home/somebody/old/checkpoint", "commit": "0" * 40, "elapsed_s": 60.0},
    )
    write_checkpoint(run.path / "checkpoint", lively_network("efficientnet_lite0"), written=written)
    return run


@pytest.fixture
def access(hub, tmp_path):
    """The access of an account that owns the repository."""
    hub.accounts = {
        "hf_write": Account("anna", may_write=("clinic",)),
        "hf_read": Account("anna", role="read", may_write=("clinic",)),
        "hf_other": Account("ben"),
    }
    return Access("hf_write", 2.0, tmp_path / "cache", hub.endpoint)


@pytest.fixture(scope="module")
def publication(run):
    return put_together(material_of("first", run.path.parent), REPO)


def test_a_run_is_published_whole(hub, access, publication):
    done = publish(publication, access)
    files = hub.files(REPO)
    assert set(files) == {".gitattributes", *CHECKPOINT_FILES, *EVALUATION_FILES, *RUN_FILES}
    assert (done.n_sent, done.tag) == (11, "v1")
    assert hub.repositories[REPO].tags == {"v1": done.commit}
    assert done.page == f"{hub.endpoint}/{REPO}"
    assert not hub.repositories[REPO].private


def test_nothing_of_this_machine_is_sent(hub, access, publication, run):
    publish(publication, access)
    everything = b"\n".join(hub.files(REPO).values())
    for secret in (b"/home/somebody", str(run.path.parent).encode(), b"hf_write", b"heartbeat"):
        assert secret not in everything
    assert json.loads(hub.files(REPO)["run/config.json"])["data_dir"] == "ham10000"
    assert "weights from local:…\n" in hub.files(REPO)["run/log.txt"].decode()


def test_timm_answers_with_the_same_logits(everybodys_hub, access, publication, run, tmp_path):
    publish(publication, access)
    model = timm.create_model(f"hf-hub:{REPO}", pretrained=True, cache_dir=str(tmp_path / "timm")).eval()
    ours = load_checkpoint(run.path / "checkpoint")
    seen = ours.manifest.preprocessing.fit(lesion(3))
    pixels = torch.from_numpy(ours.manifest.preprocessing.normalise(seen)[None])
    with torch.no_grad():
        assert torch.allclose(model(pixels), ours.network(pixels), atol=1e-5)
    data = timm.data.resolve_data_config(model=model)
    assert data["mean"] == pytest.approx(ours.manifest.preprocessing.mean)
    assert data["std"] == pytest.approx(ours.manifest.preprocessing.std)
    assert model.pretrained_cfg["label_names"] == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]


def test_what_was_published_is_pulled_and_answers_as_before(hub, access, publication, run):
    done = publish(publication, access)
    reported = []
    fetched = fetch(
        parse_reference(f"hf:{REPO}"), access, lambda *step, **words: reported.append((step, words))
    )
    assert str(fetched.reference) == f"hf:{REPO}@{done.commit}"
    assert fetched.lacks == ()
    folder = kept.checkpoint_folder(REPO, done.commit, access.cache_dir)
    assert read_manifest(folder).golden_logits == read_manifest(run.path / "checkpoint").golden_logits
    assert any(words.get("unit") == "bytes" and step[0] == step[1] for step, words in reported)


def test_an_evaluation_is_pulled_without_its_weights(hub, access, publication, run):
    publish(publication, access)
    hub.requests.clear()
    fetched = fetch_evaluation(parse_reference(f"hf:{REPO}"), access, lambda *_, **__: None)
    assert not [request for request in hub.requests if "safetensors" in request]
    (folder,) = kept.pulled_evaluations(access.cache_dir)
    evaluation = Evaluation.load(folder)
    assert evaluation.checkpoint == f"hf:{REPO}"
    assert evaluation.table.equals(Evaluation.load(run.path / "evaluation").table)
    assert Split.load(folder.parent / "split.csv").hash == evaluation.split_hash
    (one,) = kept.all_kept(access.cache_dir)
    assert (one.has_evaluation, one.is_checkpoint, one.reference) == (True, False, fetched.reference)
    hub.stop()
    again = fetch_evaluation(parse_reference(f"hf:{REPO}"), access, lambda *_, **__: None)
    assert "cannot be reached" in again.notice


def test_a_checkpoint_without_an_evaluation_says_so_when_one_is_asked_for(hub, access, run):
    bare = put_together(Material(run.path / "checkpoint"), REPO)
    assert len(bare.absent) == 3
    publish(bare, access)
    with pytest.raises(HubError, match="holds no evaluation"):
        fetch_evaluation(parse_reference(f"hf:{REPO}"), access, lambda *_, **__: None)


def test_a_second_publication_sends_only_what_changed(hub, access, run, tmp_path):
    shutil.copytree(run.path, tmp_path / "second")
    again = RunFolder(tmp_path / "second")
    publish(put_together(material_of("second", tmp_path), REPO), access)
    assert publish(put_together(material_of("second", tmp_path), REPO), access).commit is None
    again.log("one more line")
    hub.received_bytes = 0
    before = compare(put_together(material_of("second", tmp_path), REPO), access)
    assert [item.path for item in before.sent] == ["run/log.txt"]
    done = publish(before.publication, access)
    assert (done.n_sent, done.tag) == (1, "v2")
    assert [line["value"].get("path") for line in hub.commit_lines[-1]] == [None, "run/log.txt"]
    assert hub.received_bytes < 10_000


def test_what_an_earlier_version_left_there_goes(hub, access, publication, run):
    publish(publication, access)
    done = publish(put_together(Material(run.path / "checkpoint"), REPO), access, tag="bare")
    assert set(hub.files(REPO, "bare")) == {".gitattributes", *CHECKPOINT_FILES}
    assert set(EVALUATION_FILES) < set(hub.files(REPO, "v1"))
    assert done.tag == "bare"


def test_a_file_above_a_size_is_sent_in_parts_and_without_xet(hub, access, publication, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.multipart_above = 1_000_000
    publish(publication, access)
    sent = [request for request in hub.requests if request.startswith("PUT /upload/")]
    assert len([request for request in sent if request.count("/") == 3]) == 3
    assert not [request for request in hub.requests if "xet" in request]
    content = {item.path: item.read() for item in publication.items}
    assert hub.files(REPO)["model.safetensors"] == content["model.safetensors"]


def test_progress_counts_what_is_sent(access, publication):
    calls = []
    publish(publication, access, report=lambda done, total: calls.append((done, total)))
    total = sum(item.size for item in publication.items)
    assert {whole for _, whole in calls} == {total}
    assert calls[-1][0] > 0.8 * total
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_publication_that_is_cancelled_leaves_no_commit(hub, access, publication):
    def stop(done, total):
        raise jobs.Cancelled

    with pytest.raises(jobs.Cancelled):
        publish(publication, access, report=stop)
    assert hub.commit_lines == []
    # What is left behind goes on asking; were this Hub gone, the client would close everybody's connections.
    for thread in threading.enumerate():
        if thread.name == "download":
            thread.join(20)


def test_a_private_repository_is_seen_only_with_a_token(hub, access, publication):
    publish(publication, access, private=True)
    assert hub.repositories[REPO].private
    stranger = replace(access, token="hf_other")
    with pytest.raises(HubError, match="or it is private"):
        pull(REPO, access=stranger)
    assert pull(REPO, access=replace(access, token="hf_read")).folder.is_dir()


def test_a_gated_repository_asks_for_its_terms(hub, access, publication):
    publish(publication, access)
    hub.repositories[REPO].gated = True
    with pytest.raises(HubError, match="Accept its terms"):
        pull(REPO, access=replace(access, token=None))
    assert pull(REPO, access=access).folder.is_dir()


def refusal(publication, access):
    with pytest.raises(HubError) as caught:
        publish(publication, access)
    assert "hf_" not in str(caught.value)
    return str(caught.value)


def test_publishing_needs_a_token_that_may_write(hub, access, publication):
    assert "needs an access token" in refusal(publication, replace(access, token=None))
    assert "may only read" in refusal(publication, replace(access, token="hf_read"))
    assert "refused the access token" in refusal(publication, replace(access, token="hf_unknown"))
    assert "may not write to clinic/lesions" in refusal(publication, replace(access, token="hf_other"))
    assert REPO not in hub.repositories


def test_a_publication_on_top_of_somebody_elses_is_refused_and_then_done(hub, access, publication):
    hub.commit(REPO, {"config.json": b"{}"})
    hub.fault = Fault("commit", status=412, times=1)
    assert "Somebody else has published to clinic/lesions meanwhile" in refusal(publication, access)
    assert publish(publication, access).n_sent == 11


FAULTS = {
    "a fault": (Fault("commit", status=500), ["has a fault", "500"]),
    "too many requests": (Fault("commit", status=429), ["pause", "429"]),
    "a cut commit": (Fault("commit", kind="cut"), ["was cut", "sent", "Publish again"]),
    "too large": (Fault("commit", status=413), ["too large"]),
    "a login page": (Fault("whoami", kind="html"), ["not a Hub"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_failure_names_its_cause_and_its_cure(case, hub, access, publication):
    hub.commit(REPO, {"config.json": b"{}"})
    hub.fault, expected = FAULTS[case]
    message = refusal(publication, access)
    assert [words for words in expected if words not in message] == [], message
    assert hub.files(REPO) == {"config.json": b"{}"}
    assert hub.repositories[REPO].tags == {}


def test_a_version_that_is_there_already_is_refused_before_anything_is_sent(hub, access, publication):
    hub.commit(REPO, {"config.json": b"{}"})
    hub.repositories[REPO].tags["first"] = hub.repositories[REPO].point("main")
    with pytest.raises(HubError, match="has a version first already; choose another"):
        publish(publication, access, tag="first")
    assert hub.commit_lines == []


def test_a_publication_whose_tag_failed_gets_it_at_the_next_try(hub, access, publication):
    hub.fault = Fault("tag", status=500, times=1)
    assert "has a fault" in refusal(publication, access)
    done = publish(publication, access)
    assert (done.n_sent, done.tag) == (0, "v1")
    assert hub.repositories[REPO].tags == {"v1": hub.repositories[REPO].point("main")}
    assert publish(publication, access).tag is None


def test_an_upload_that_is_cut_once_is_sent_again(hub, access, publication):
    hub.fault = Fault("upload", kind="cut", times=1)
    publish(publication, access)
    assert {item.path: item.read() for item in publication.items}.items() <= hub.files(REPO).items()


def test_a_hub_that_is_away_is_told(hub, access, publication):
    hub.stop()
    assert "cannot be reached" in refusal(publication, access)
    alone = compare(publication, access)
    assert "cannot be reached" in alone.notice
    assert [item.path for item in alone.sent] == [item.path for item in publication.items]


def test_the_card_says_what_was_measured(publication, run):
    text = next(item.read().decode() for item in publication.items if item.path == "README.md")
    head = yaml.safe_load(text.split("---")[1])
    stored = read_manifest(run.path / "checkpoint").metrics
    assert head["license"] == "cc-by-nc-4.0"
    assert "lesionlens" in head["tags"]
    measured = {one["type"]: one["value"] for one in head["model-index"][0]["results"][0]["metrics"]}
    assert measured["accuracy"] == round(stored["accuracy"]["value"], 4)
    for part in (
        "## Intended use",
        "## Results",
        "## Subgroups",
        "## Limits",
        "## Citation",
        "Not a medical device",
    ):
        assert part in text
    assert head["model-index"][0]["results"][0]["dataset"]["type"] == "HAM10000"
    assert "| female |" in text
    assert f"hf-hub:{REPO}" in text


def test_the_card_of_other_data_claims_no_ham10000(run):
    other = replace(read_manifest(run.path / "checkpoint"), data="not recorded", licence="not recorded")
    text = model_card(other)
    assert yaml.safe_load(text.split("---")[1])["license"] == "other"
    assert "model-index" in text
    assert "HAM10000" not in text


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("at /home/anna/data/ham", "at …"),
        ("at /home/john smith/private data/X, epoch 3\nthen", "at …\nthen"),
        ("local:/srv/runs/a/checkpoint", "local:…"),
        ("in ~/runs/first", "in …"),
        ("./here/it/is", "./here/it/is"),
        ("at C:\\Users\\John Smith\\data", "at …"),
        ("at \\\\server\\share\\john smith", "at …"),
        ("at file:///home/john/X", "at …"),
        ("see https://doi.org/10.1038/sdata.2018.161", "see https://doi.org/10.1038/sdata.2018.161"),
        ("epoch 1/14, n/a, CC BY-NC/4", "epoch 1/14, n/a, CC BY-NC/4"),
    ],
)
def test_a_line_ends_where_a_path_of_this_machine_begins(text, public):
    assert without_paths(text) == public


@pytest.mark.parametrize(
    ("value", "public"),
    [
        ("/home/john smith/private data/X", "X"),
        ("C:\\Users\\John Smith\\data\\X", "X"),
        ("\\\\server\\John Smith\\X", "X"),
        ("file:///home/john smith/X", "X"),
        ("checkpoint:local:/home/john smith/old/checkpoint", "checkpoint:local:checkpoint"),
        ("/data", "data"),
        ("not found: /home/john smith/X", "not found: …"),
        ("run:mine", "run:mine"),
        ({"a": ["/home/john smith/X", 0.1, None]}, {"a": ["X", 0.1, None]}),
    ],
)
def test_a_path_that_is_a_whole_value_becomes_its_last_part(value, public):
    assert json.loads(json_without_paths(json.dumps({"at": value}))) == {"at": public}


def test_a_changed_weight_is_not_published(run, tmp_path):
    shutil.copytree(run.path / "checkpoint", tmp_path / "checkpoint")
    weights = tmp_path / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(LesionLensError, match="incomplete or altered"):
        put_together(Material(tmp_path / "checkpoint"), REPO)


@pytest.fixture
def command(everybodys_hub, access, run, monkeypatch):
    """Return a function that runs the command line and returns what it printed."""
    monkeypatch.setenv("HF_TOKEN", access.token)
    monkeypatch.setenv("LESIONLENS_RUNS", str(run.path.parent))
    settings.cache_clear()

    def command(*words):
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return command


def test_the_command_line_shows_what_it_would_send_sends_it_and_pulls_it(command, hub, run):
    words = ("publish", "first", "--repo", REPO)
    *lines, last = command(*words, "--dry-run").splitlines()
    listed = {line.split()[-1]: line.split()[:2] for line in lines}
    assert set(listed) == {*CHECKPOINT_FILES, *EVALUATION_FILES, *RUN_FILES}
    size = (run.path / "checkpoint" / "model.safetensors").stat().st_size
    assert listed["model.safetensors"] == ["new", f"{size:,}"]
    assert last.startswith("11 files, ")
    assert hub.repositories == {}
    assert f"hf:{REPO}@v1" in command(*words)
    assert "Nothing has changed" in command(*words)
    pulled = command("pull", f"hf:{REPO}@v1")
    assert pulled.strip() == f"hf:{REPO}@{hub.repositories[REPO].tags['v1']}"
    assert kept.checkpoint_folder(REPO, "v1", settings().cache_dir / "hub") is not None


def test_a_run_that_is_not_there_is_refused_with_those_that_are(command):
    with pytest.raises(RunError, match=r"no run 'second'.*there are: first"):
        command("publish", "second", "--repo", REPO)
