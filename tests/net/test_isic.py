"""The ISIC archive: pictures, labels, lesions and facts become one table."""

import pytest

from core.data.readers import read_dataset
from core.errors import GettingError
from core.jobs import Cancelled
from tests.net.double import Fault
from tests.net.making import DX_OF, ISIC_OLD_STORAGE, fill_facts, fill_isic

API = "/api.isic-archive.com/api/v2/images/search/"
INPUT = "/isic-archive.s3.amazonaws.com/challenges/2018/ISIC2018_Task3_Training_Input.zip"


def test_the_archive_gives_pictures_and_labels(server, get_it, root):
    fill_isic(server)
    got = get_it("isic")
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF
    assert (got.n_images, got.n_pictures) == (7, 7)
    assert table["age_years"].isna().all()
    assert [path.name for path in root.iterdir()] == ["ham10000-isic"]


def test_with_the_facts_the_table_has_ages_sexes_sites_and_lesions(server, get_it):
    fill_isic(server)
    got = get_it("isic", extras=["facts"])
    table = read_dataset(got.folder)
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == DX_OF
    assert set(table["age_years"]) == {45.0}
    assert set(table["sex"]) == {"male"}
    assert set(table["site"]) == {"trunk"}
    assert set(table["dx_type"]) == {"histo"}
    assert table["lesion_id"].iloc[0] == "HAM_0001"
    assert got.n_pictures == 7
    assert {path.name for path in (got.folder / ".source").iterdir()} == {
        "ISIC2018_Task3_Training_GroundTruth.csv",
        "ISIC2018_Task3_Training_LesionGroupings.csv",
        "isic_archive_facts.csv",
    }


def test_pictures_without_facts_are_counted_and_stay(server, get_it):
    fill_isic(server)
    fill_facts(server, list(DX_OF)[4:5], "collections=212&cursor=abc")
    got = get_it("isic", extras=["facts"])
    assert got.n_images == 7
    assert "no facts for 2 of 7 pictures" in " ".join(got.notes)
    assert int(read_dataset(got.folder)["age_years"].isna().sum()) == 2


def test_where_the_new_storage_has_nothing_the_old_one_is_asked(server, get_it):
    fill_isic(server, storage=ISIC_OLD_STORAGE)
    assert get_it("isic").n_pictures == 7


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", 503, headers={"Retry-After": "0"}), ["503", "overloaded", "without ages"]),
        (Fault("status", 404), ["404", "without ages"]),
        (Fault("html"), ["web page", "without ages"]),
        (Fault("silent"), ["no sign of life for 0.5 s", "without ages"]),
        (Fault("corrupt"), ["without ages"]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_when_the_facts_fail_the_pictures_are_kept_for_the_next_attempt(fault, expected, server, get_it):
    fill_isic(server)
    server.faults[API] = fault
    with pytest.raises(GettingError) as caught:
        get_it("isic", extras=["facts"], silence_s=0.5)
    assert [words for words in expected if words not in str(caught.value)] == [], caught.value
    server.faults.clear()
    server.asked.clear()
    assert get_it("isic", extras=["facts"]).n_pictures == 7
    assert not [asked for asked in server.asked if asked.path == INPUT]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 503, times=2, headers={"Retry-After": "0"}),
        Fault("status", 429, times=2, headers={"Retry-After": "0"}),
        Fault("cut", times=2),
        Fault("silent", times=1),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status or ''}".strip(),
)
def test_facts_are_asked_for_again_when_a_failure_may_pass(fault, server, get_it):
    fill_isic(server)
    server.faults[API] = fault
    got = get_it("isic", extras=["facts"], silence_s=0.5)
    assert set(read_dataset(got.folder)["age_years"]) == {45.0}


def test_asking_for_the_facts_can_be_cancelled_while_the_archive_is_silent(server, get_it):
    asked = []

    def stop(*_, note="", **__):
        asked.append(note)
        if asked.count("Asking the ISIC archive for ages, sexes and sites") > 2:
            raise Cancelled

    fill_isic(server)
    server.faults[API] = Fault("silent")
    with pytest.raises(Cancelled):
        get_it("isic", extras=["facts"], silence_s=60.0, report=stop)


def test_facts_that_lead_to_another_host_are_not_followed(server, get_it):
    fill_isic(server)
    page = server.files[f"{API}?collections=212&limit=100"]
    server.files[f"{API}?collections=212&limit=100"] = page.replace(b"api.isic-archive.com", b"evil.example")
    with pytest.raises(GettingError, match=r"evil\.example.*not followed"):
        get_it("isic", extras=["facts"])


def test_facts_without_an_end_are_refused(server, get_it, monkeypatch):
    from core.data.getting import ham10000

    monkeypatch.setattr(ham10000, "_MAX_PAGES", 5)
    fill_isic(server)
    fill_facts(server, list(DX_OF), "collections=212&cursor=abc", following="collections=212&cursor=abc")
    with pytest.raises(GettingError, match="5 pages of facts and no end"):
        get_it("isic", extras=["facts"])
