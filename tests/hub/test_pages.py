"""The Hub on the pages: painting them asks nobody, what is away is said, what is here is used."""

import pytest

from core import jobs
from core.evaluate.gathering import evaluation_folders, weights_folder
from core.models import kept
from core.models.hub.access import Access
from core.models.hub.pulling import pull, pull_evaluation
from core.settings import settings
from pages.ui import cache
from tests.hub.double import Account, Fault
from tests.hub.test_foreign import foreign
from tests.pages.checkpoints import write_checkpoint
from tests.pages.reading import said

REPO = "clinic/lesions"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of one of our checkpoints."""
    folder = write_checkpoint(tmp_path_factory.mktemp("made") / "untrained")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def no_jobs():
    """Let no test see another one's jobs."""
    yield
    for key in list(jobs._JOBS):
        if (job := jobs.find(key)) is not None:
            job.cancel()
            job.wait(20)
        jobs.forget(key)
    cache.forget_checkpoints()


def names(app):
    return app.selectbox(key="checkpoint").options


def test_a_fetched_checkpoint_is_offered_and_answers_without_a_request(open_page, everybodys_hub, made):
    commit = everybodys_hub.commit(REPO, made)
    pull(REPO, access=Access.of_settings())
    everybodys_hub.requests.clear()
    app = open_page("Predict", checkpoint=f"hf:{REPO}@{commit}")
    assert not app.exception
    assert app.selectbox(key="checkpoint").value == f"hf:{REPO}@{commit}"
    assert f"{REPO} @ {commit[:12]} (Hub)" in names(app)
    assert "Malignancy probability" in said(app)
    assert everybodys_hub.requests == []


def test_one_that_is_not_here_waits_for_a_button(open_page, everybodys_hub, made):
    commit = everybodys_hub.commit(REPO, made)
    app = open_page("Predict", checkpoint=f"hf:{REPO}@{commit}")
    assert "is not on this machine yet" in said(app, "info")
    assert "Malignancy probability" in said(app)
    assert everybodys_hub.requests == []
    app.button(key=f"job_start_hub hf:{REPO}@{commit}").click().run()
    assert jobs.find(f"hub hf:{REPO}@{commit}").wait(60) == "done"
    app.run()
    assert not app.exception
    assert "not on this machine" not in said(app)
    assert kept.checkpoint_folder(REPO, commit, kept.hub_folder()) is not None


def test_the_default_is_fetched_by_itself_and_its_failure_told(open_page, everybodys_hub, monkeypatch):
    monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"hf:{REPO}")
    everybodys_hub.fault = Fault("info", status=503)
    app = open_page("Predict")
    assert jobs.find(f"hub hf:{REPO}").wait(60) == "failed"
    app.run()
    assert "has a fault (status 503). Try again later." in said(app, "error")
    assert "Malignancy probability" in said(app)
    assert len([request for request in everybodys_hub.requests if "revision" in request]) == 1


@pytest.mark.parametrize("reference", ["local:/etc", "hf:../x", "hf:a", "nonsense", "bundled:gone"])
def test_nonsense_and_folders_in_the_address_are_ignored(open_page, reference):
    app = open_page("Predict", checkpoint=reference)
    assert not app.exception
    assert "/etc" not in said(app)
    assert "Malignancy probability" in said(app)


def test_on_a_shared_server_visitors_fetch_only_what_is_offered(open_page, everybodys_hub, monkeypatch):
    monkeypatch.setenv("LESIONLENS_ALLOW_TRAINING", "false")
    app = open_page("Predict", checkpoint=f"hf:{REPO}")
    assert "This server is shared" in said(app, "info")
    assert not [button for button in app.button if "Fetch it" in button.label]


def test_a_foreign_checkpoint_says_what_it_lacks_and_never_calls_a_risk_low(
    open_page, everybodys_hub, tmp_path
):
    commit = everybodys_hub.commit("elsewhere/skin", foreign(tmp_path / "made")[1])
    pull("elsewhere/skin", access=Access.of_settings())
    app = open_page("Predict", checkpoint=f"hf:elsewhere/skin@{commit}")
    assert not app.exception
    for words in ("never calibrated", "no threshold", "cannot tell when a picture", "takes no facts"):
        assert words in said(app, "warning")
    assert "nobody has set a threshold" in said(app, "info")
    assert "no sign of malignancy" not in said(app).lower()
    assert not app.success


def test_home_lists_what_is_here_and_removes_it(open_page, everybodys_hub, made):
    commit = everybodys_hub.commit(REPO, made)
    pull(REPO, access=Access.of_settings())
    everybodys_hub.requests.clear()
    app = open_page("Home")
    assert not app.exception
    assert f"**{REPO}** · checkpoint · " in said(app)
    assert f"Commit {commit[:12]} (main)" in said(app, "caption")
    assert everybodys_hub.requests == []
    app.button(key=f"hub_remove_{REPO}_{commit}").click().run()
    assert "Nothing was fetched from the Hub yet" in said(app, "info")
    assert kept.all_kept(kept.hub_folder()) == []


def test_home_tells_what_is_newer_when_it_is_asked(open_page, everybodys_hub, made):
    everybodys_hub.commit(REPO, made)
    pull(REPO, access=Access.of_settings())
    newer = everybodys_hub.commit(REPO, made | {"README.md": b"# Newer"})
    app = open_page("Home")
    app.button(key="job_start_hub updates").click().run()
    jobs.find("hub updates").wait(60)
    app.run()
    assert f"Commit {newer[:12]} is newer" in said(app, "caption")
    app.button(key=f"job_start_hub hf:{REPO}@{newer}").click().run()
    assert jobs.find(f"hub hf:{REPO}@{newer}").wait(60) == "done"
    app.run()
    assert f"Commit {newer[:12]} is newer, and is here too" in said(app, "caption")


def test_home_lists_what_an_owner_offers_once_it_is_asked(open_page, everybodys_hub, made, monkeypatch):
    monkeypatch.setenv("LESIONLENS_HUB_OWNER", "clinic")
    everybodys_hub.commit(REPO, made)
    app = open_page("Home")
    assert f"hf:{REPO}" not in said(app)
    app.button(key="job_start_hub owner").click().run()
    jobs.find("hub owner").wait(60)
    app.run()
    assert f"hf:{REPO}: Published by clinic on the Hub." in said(app)
    assert f"{REPO} @ main (Hub)" in names(open_page("Predict"))


def test_compare_shows_a_model_that_was_never_downloaded(open_page, everybodys_hub, app_root):
    bundled = app_root / "core" / "bundled" / "evaluations" / "lesionlens-lite0"
    files = {f"evaluation/{path.name}": path.read_bytes() for path in bundled.iterdir()}
    everybodys_hub.commit(REPO, files)
    pull_evaluation(REPO, access=Access.of_settings())
    (folder,) = set(evaluation_folders(settings().runs_dir)) & set(kept.pulled_evaluations(kept.hub_folder()))
    assert folder.parent.parent.parent.name == "models--clinic--lesions"
    assert weights_folder(f"hf:{REPO}") is None
    app = open_page("Compare")
    assert not app.exception
    assert "(2)" in said(app) or any("(2)" in str(one.value) for one in app.dataframe)


def publishing(open_page, monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    app = open_page("Home")
    app.session_state["publish"] = True
    return app.run()


def test_compare_offers_to_fetch_an_evaluation_alone(open_page, everybodys_hub):
    app = open_page("Compare", show="Bring your own")
    app.button(key="hub_open").click().run()
    assert not app.exception
    assert "its weights are not needed" in said(app)
    assert "hub_only_evaluation" not in app.session_state
    assert everybodys_hub.requests == []


def test_publishing_is_refused_without_a_token_and_on_a_shared_server(open_page, monkeypatch):
    assert "Set HF_TOKEN" in said(publishing(open_page, monkeypatch), "info").replace("`", "")
    shared = publishing(open_page, monkeypatch, LESIONLENS_ALLOW_TRAINING="false", HF_TOKEN="hf_write")
    assert "who runs it publishes" in said(shared, "info")


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_a_checkpoint_is_published_after_a_look_at_what_would_be_sent(open_page, everybodys_hub, monkeypatch):
    everybodys_hub.accounts = {"hf_write": Account("anna", may_write=("clinic",))}
    app = publishing(open_page, monkeypatch, HF_TOKEN="hf_write", LESIONLENS_HUB_OWNER="clinic")
    assert app.text_input(key="publish_repo_bundled:lesionlens-lite0").value == "clinic/lesionlens-lite0"
    repo = "clinic/lesionlens-lite0"
    app.button(key=f"job_start_publish dry bundled:lesionlens-lite0 {repo}").click().run()
    assert jobs.find(f"publish dry bundled:lesionlens-lite0 {repo}").wait(120) == "done"
    app.run()
    table = next(one.value for one in app.dataframe if "what happens" in one.value)
    assert set(table["what happens"]) == {"new"}
    assert "evaluation/predictions.parquet" in set(table["file"])
    assert everybodys_hub.repositories == {}
    app.button(key=f"job_start_publish bundled:lesionlens-lite0 {repo}").click().run()
    assert jobs.find(f"publish bundled:lesionlens-lite0 {repo}").wait(120) == "done"
    app.run()
    assert f"It is called hf:{repo}@v1" in said(app, "success")
    assert set(everybodys_hub.files(repo)) > set(table["file"])
