"""The Predict page: answers, refusals, what-if, and that nothing a person brings can break it."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core import jobs, words
from core.data.drawn_masks import write_outlines
from core.data.lesion_shape import MEASURES
from core.data.readers import read_dataset
from core.data.synthetic import draw_lesion, make_dataset
from core.explain.spoken import CHECK_WORDS
from core.predict.heldout import HeldOut, PredictionSets, ScoreRange
from core.words import READERS
from pages.ui import notices
from pages.ui.details import FOR_ENGINEERS
from pages.ui.predict import lesion
from pages.ui.predict.brush import read_shape, read_use
from tests.pages.checkpoints import write_checkpoint
from tests.pages.reading import everything, said
from tests.plain_words import FOREIGN_TO_PATIENTS

MOSTLY_NEVUS = {"nv": 1.0, "mel": 0.6, "bcc": 0.2}
CLEARLY_NEVUS = {"nv": 3.0, "mel": -1.0}

ON_THE_LESION = CHECK_WORDS["patient"]["lesion"].title
BOX = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.7], [0.2, 0.7]]
EIGHT = [[0.2, 0.2], [0.8, 0.8], [0.8, 0.2], [0.2, 0.8]]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "untrained")


@pytest.fixture
def use(monkeypatch):
    """Return a function that makes a folder the default checkpoint."""
    return lambda folder: monkeypatch.setenv("LESIONLENS_CHECKPOINT", f"local:{folder}")


@pytest.fixture
def predict(open_page, use, untrained):
    """Return a function that opens the Predict page with the untrained checkpoint and query parameters."""
    use(untrained)
    return lambda **query: open_page("Predict", **query)


def table(app, column):
    """Return the first table that has a column, as a mapping from its first column to that one."""
    found = next(one.value for one in app.table if column in one.value)
    return dict(zip(found.iloc[:, 0], found[column], strict=True))


def timing(app):
    """Return how long the look took, as the page says it."""
    found = next(one.value for one in app.table if any("Look" in str(row) for row in one.value.index))
    return found.iloc[0, 0]


def picture_bytes(format_name="PNG", pixels=None):
    buffer = io.BytesIO()
    drawn = draw_lesion(3, kind="nv", size_px=(150, 200)) if pixels is None else pixels
    Image.fromarray(drawn).save(buffer, format_name)
    return buffer.getvalue()


def test_a_synthetic_lesion_is_answered_at_once_and_called_synthetic(predict):
    app = predict()
    assert not app.exception
    assert not app.error
    assert words.SYNTHETIC in said(app)
    assert len(app.get("plotly_chart")) == 6
    assert len(table(app, "probability")) == 7
    assert words.SEE_A_DOCTOR in said(app)


def test_the_seven_probabilities_carry_full_names_and_malignant_marks(predict):
    marks = table(predict(reader="clinician"), "malignant")
    assert {name for name, mark in marks.items() if mark == "yes"} == {
        "Actinic keratosis / Bowen's disease",
        "Basal cell carcinoma",
        "Melanoma",
    }


def test_a_reader_changes_words_but_no_number(predict):
    apps = {name: predict(reader=name) for name in READERS}
    numbers = {name: list(table(app, "probability").values()) for name, app in apps.items()}
    assert numbers["patient"] == numbers["clinician"] == numbers["ML"]
    titles = {name: [header.value for header in app.header] for name, app in apps.items()}
    assert READERS["patient"].probabilities_title in titles["patient"]
    assert READERS["clinician"].probabilities_title in titles["clinician"]
    assert said(apps["patient"]) != said(apps["clinician"]) != said(apps["ML"])


def held_out(n=100):
    """Every diagnosis needs a fifth; of a hundred lesions of any score, thirty were malignant."""
    return HeldOut(
        PredictionSets(0.9, (0.2,) * 7, (n,) * 7), (ScoreRange(0.0, 0.5, n, 30), ScoreRange(0.5, 1.0, n, 30))
    )


def test_the_set_and_the_frequency_are_said_alike_to_all_readers(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "fitted", bias=CLEARLY_NEVUS, held_out=held_out()))
    for name in READERS:
        text = said(open_page("Predict", reader=name)).replace(words.NBSP, " ")
        assert "stays possible" in text
        assert "**30 were malignant** (95 %: 22 to 40, n = 100 validation lesions)" in text


def test_a_checkpoint_without_them_says_not_fitted(predict):
    text = said(predict())
    assert "Which diagnoses stay possible: not fitted" in text
    assert "was right: not fitted" in text


def test_another_place_re_expresses_the_score_and_keeps_the_decision(predict):
    here, there = predict(), predict(place="self-check")
    assert "Dutch registry" not in said(here)
    assert "assumed without a study" in said(there)
    assert table(here, "probability") == table(there, "probability")
    assert [one.value for one in here.warning] == [one.value for one in there.warning]


def test_a_poor_picture_is_warned_about_with_advice(predict):
    app = predict(picture="upload")
    dark = (draw_lesion(3, kind="nv", size_px=(150, 200)) * 0.2).astype(np.uint8)
    app.file_uploader(key="upload").set_value(("dark.png", picture_bytes(pixels=dark), "image/png")).run()
    assert "The picture is dark" in said(app, "warning")
    assert len(table(app, "probability")) == 7


def test_changed_facts_change_the_answer_without_another_look(predict):
    app = predict()
    looked, before = timing(app), table(app, "probability")
    app.number_input(key="patient_age").set_value(80)
    app.selectbox(key="patient_site").select("face").run()
    assert not app.exception
    assert table(app, "probability") != before
    assert timing(app) == looked


def test_facts_come_from_the_address(predict):
    app = predict(patient_age="45", patient_sex="female", patient_site="back")
    assert app.number_input(key="patient_age").value == 45
    assert app.selectbox(key="patient_sex").value == "female"
    assert app.selectbox(key="patient_site").value == "back"


@pytest.mark.parametrize(
    "query",
    [{"patient_age": "999"}, {"patient_age": "old"}, {"patient_sex": "robot"}, {"patient_site": "moon"},
     {"picture": "elsewhere"}, {"explained": "boredom"}, {"opacity": "900"}, {"drawing_seed": "-4"}],
)  # fmt: skip
def test_nonsense_in_the_address_is_ignored(predict, query):
    app = predict(**query)
    assert not app.exception
    assert len(table(app, "probability")) == 7


def test_any_diagnosis_can_be_explained(predict):
    app = predict(explained="Dermatofibroma")
    assert "Explaining Dermatofibroma" in said(app)


def test_all_seven_maps_are_drawn_on_request(predict):
    app = predict()
    before = len(app.get("image"))
    app.toggle(key="all_maps").set_value(True).run()
    assert not app.exception
    assert len(app.get("image")) == before + 7


def test_a_map_with_nothing_for_a_diagnosis_says_so(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "flat", bias=CLEARLY_NEVUS))
    app = open_page("Predict")
    assert not app.exception
    assert any("Nothing in favour" in info.value for info in app.info)


def test_a_benign_top_above_the_threshold_is_called_a_conflict(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "torn", bias=MOSTLY_NEVUS, threshold=0.2))
    app = open_page("Predict")
    warnings = " ".join(warning.value for warning in app.warning)
    assert "Have a dermatologist look at this" in warnings
    assert "The risk counts" in warnings


@pytest.mark.parametrize("name", READERS)
def test_below_the_threshold_nothing_is_called_safe(open_page, use, tmp_path, name):
    use(write_checkpoint(tmp_path / "calm", bias=CLEARLY_NEVUS))
    app = open_page("Predict", reader=name)
    text = said(app).lower()
    assert words.MILDEST in text
    assert "does not rule cancer out" in text
    assert not app.success
    assert not re.search(r"(?<!_)\b(safe|all clear|no action|healthy)\b", text)


@pytest.mark.parametrize("name", READERS)
def test_an_unknown_picture_gets_reasons_and_no_answer(open_page, use, tmp_path, name):
    use(write_checkpoint(tmp_path / "refusing", refuses_all=True))
    app = open_page("Predict", reader=name)
    assert not app.exception
    assert words.refusal((), READERS[name]).headline in app.warning[0].value
    assert "not like the dermoscopic pictures" in said(app, "warning")
    assert not app.get("plotly_chart")
    assert not app.success
    assert not [one for one in app.table if "probability" in one.value]


def test_a_missing_checkpoint_is_said_and_the_inputs_stay(open_page, use, tmp_path):
    use(tmp_path / "nowhere")
    app = open_page("Predict")
    assert not app.exception
    assert "There is no checkpoint to ask" in app.error[0].value
    assert app.number_input(key="patient_age")


def test_a_damaged_checkpoint_is_said(open_page, use, tmp_path):
    folder = write_checkpoint(tmp_path / "damaged")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    use(folder)
    app = open_page("Predict")
    assert not app.exception
    assert "incomplete or altered" in said(app, "error")


def test_words_of_a_checkpoint_are_never_markdown(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "sly", about="![](http://elsewhere.example/x.png)"))
    app = open_page("Predict")
    assert "elsewhere.example" in said(app)
    assert not any("![](" in text.value for text in app.markdown)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture at all"),
        ("cut.jpg", picture_bytes("JPEG")[:2000]),
        ("dot.png", picture_bytes(pixels=np.zeros((1, 1, 3), dtype=np.uint8))),
        ("zip.png", b"PK\x03\x04" + bytes(100)),
    ],
)
def test_a_bad_upload_is_refused_by_name_and_the_page_lives(predict, name, data):
    app = predict(picture="upload")
    app.file_uploader(key="upload").set_value((name, data, "image/jpeg")).run()
    assert not app.exception
    assert name in said(app, "error")
    app.file_uploader(key="upload").set_value(("good.png", picture_bytes(), "image/png")).run()
    assert not app.error
    assert len(table(app, "probability")) == 7


def test_a_picture_over_the_limit_is_refused_by_python_too(predict, monkeypatch):
    monkeypatch.setenv("LESIONLENS_MAX_UPLOAD_MB", "1")
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    app = predict(picture="upload")
    app.file_uploader(key="upload").set_value(("big.png", picture_bytes(pixels=noise), "image/png")).run()
    assert not app.exception
    assert "over 1 MB" in said(app, "error")


def test_nothing_of_an_upload_is_written(predict, tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LESIONLENS_RUNS", str(tmp_path / "runs"))
    written = []
    real = Path.open

    def watched(path, mode="r", *rest, **options):
        if set(mode) & set("wax+"):
            written.append(path)
        return real(path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", watched)
    app = predict(picture="upload")
    app.file_uploader(key="upload").set_value(("mine.png", picture_bytes(), "image/png")).run()
    assert len(table(app, "probability")) == 7
    assert written == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_dataset_the_page_says_how_to_bring_one(predict):
    app = predict(picture="dataset")
    assert not app.exception
    assert any("LESIONLENS_DATA" in info.value for info in app.info)


def test_a_dataset_image_is_answered_with_its_recorded_facts(predict, tmp_path, monkeypatch):
    folder = make_dataset(tmp_path / "data", images_per_class=2, seed=0, size_px=(60, 80))
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    known = read_dataset(folder).dropna(subset=["age_years", "sex", "site"]).iloc[0]
    app = predict(picture="dataset", image_id=known["image_id"])
    assert not app.exception
    assert "recorded as" in said(app)
    next(button for button in app.button if "recorded facts" in button.label).click().run()
    assert not app.exception
    assert app.number_input(key="patient_age").value == known["age_years"]
    assert app.selectbox(key="patient_sex").value == known["sex"]
    assert app.selectbox(key="patient_site").value == known["site"]
    next(button for button in app.button if "Another" in button.label).click().run()
    assert not app.exception
    assert app.text_input(key="image_id").value


def test_an_upload_that_the_dataset_holds_is_told(predict, tmp_path, monkeypatch):
    folder = make_dataset(tmp_path / "data", images_per_class=2, seed=0, size_px=(60, 80))
    monkeypatch.setenv("LESIONLENS_DATA", str(folder))
    file = Path(read_dataset(folder)["image_path"].iloc[0])
    app = predict(picture="upload")
    app.file_uploader(key="upload").set_value(("renamed.jpg", file.read_bytes(), "image/jpeg")).run()
    assert not app.exception
    assert f"This very file is {file.stem} of the local dataset" in said(app)
    app.file_uploader(key="upload").set_value(("other.png", picture_bytes(), "image/png")).run()
    assert "Not found in the local dataset" in said(app)


def test_an_image_id_that_is_not_there_is_said(predict, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "LESIONLENS_DATA", str(make_dataset(tmp_path, images_per_class=1, seed=0, size_px=(60, 80)))
    )
    app = predict(picture="dataset", image_id="ISIC_9999999")
    assert not app.exception
    assert "ISIC_9999999" in said(app, "error")


def test_markdown_signs_of_others_are_shown_as_they_stand():
    assert notices.plain("![x](http://a)") == r"\!\[x\]\(http\://a\)"


VIEWS = ("other facts", "another picture", "twelve variants", "a part hidden", "nearest flip")


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_what_if_answers(predict, view):
    app = predict(what_if=view, changes="rotate:45~blur:0.8", patient_age="50")
    assert not app.exception
    assert not app.error
    spoken = {
        "other facts": "runs from",
        "another picture": "1. Rotated 45°",
        "twelve variants": "The answer changes in",
        "a part hidden": "2. Blurred 0.8 %",
        "nearest flip": "What is the least that would turn this?",
    }
    assert spoken[view] in said(app)


def test_changes_add_up_are_undone_and_stand_in_the_address(predict):
    app = predict(what_if="another picture")
    assert "Before and after will stand here" in said(app)
    app.selectbox(key="change_kind").select("Brightness").run()
    app.button(key="change_apply").click().run()
    app.selectbox(key="change_kind").select("Gray").run()
    app.button(key="change_apply").click().run()
    assert not app.exception
    assert app.query_params["changes"] in ("brightness:0.75~gray:1", ["brightness:0.75~gray:1"])
    before, after = table(app, "before"), table(app, "after")
    assert before != after
    assert len(before) == 8
    app.button(key="change_pin").click().run()
    app.button(key="change_undo").click().run()
    assert len(table(app, "pinned")) == 8
    linked = predict(what_if="another picture", changes="brightness:0.75", pinned="brightness:0.75~gray:1")
    assert table(linked, "pinned") == table(app, "pinned")
    app.button(key="change_reset").click().run()
    assert "changes" not in app.query_params
    assert not app.exception


def test_a_change_beyond_what_the_model_knows_gets_no_answer(open_page, use, tmp_path):
    folder = write_checkpoint(tmp_path / "plain", bias=CLEARLY_NEVUS)
    use(folder)
    square = "keep:0.49/0.49/0.5/0.49/0.5/0.5"
    app = open_page("Predict", what_if="another picture", changes=square)
    assert not app.exception
    assert "blank" in said(app, "warning")
    assert "difference, points" not in {name for one in app.table for name in one.value.columns}


@pytest.mark.parametrize("nonsense", ["boil:3", "rotate:1e9", "hide:1/2", "%00~~"])
def test_nonsense_changes_are_left_out(predict, nonsense):
    app = predict(what_if="another picture", changes=nonsense)
    assert not app.exception
    assert "Nothing is changed yet" in said(app)


@pytest.mark.parametrize(
    ("closer", "spoken"),
    [
        ("why A rather than B", "above zero the first is ahead"),
        ("other methods", "cannot be compared in strength"),
        ("can the map be trusted?", "checks"),
        ("the lesion's shape", "say nothing of malignancy"),
    ],
)
def test_the_reasons_can_be_looked_at_closer(predict, closer, spoken):
    app = predict(closer=closer, contour="true", map_shown="map alone")
    assert not app.exception
    assert not app.error
    assert spoken in said(app)


def test_the_shape_of_a_lesion_is_measured_on_the_outline_that_the_mask_network_finds(predict):
    app = predict(closer="the lesion's shape")
    assert "No lesion was found" not in said(app, "warning")
    measures = table(app, "value")
    assert list(measures) == [one.title for one in MEASURES.values()]
    assert float(measures["Border irregularity"]) > 1
    assert measures["Share of the picture"].endswith("%")


def test_where_no_lesion_is_found_the_page_says_so_and_measures_nothing(predict):
    shade = np.linspace(0, 40, 200)[None, :, None]
    skin = np.broadcast_to(np.array((226, 184, 168)) - shade, (150, 200, 3)).astype(np.uint8)
    app = predict(picture="upload", closer="the lesion's shape")
    app.file_uploader(key="upload").set_value(("skin.png", picture_bytes(pixels=skin), "image/png")).run()
    assert not app.exception
    assert "finds no lesion in this picture" in said(app, "info")
    assert "No lesion was found" in said(app, "warning")
    assert not [one for one in app.table if "what it is" in one.value]
    app.segmented_control(key="closer").set_value("can the map be trusted?").run()
    assert not app.exception
    assert "finds no lesion in this picture" in table(app, "finding")[ON_THE_LESION]


def test_the_datasets_own_mask_goes_before_the_networks(predict, monkeypatch, tmp_path):
    make_dataset(tmp_path, images_per_class=1, seed=1, size_px=(60, 80))
    image_id = read_dataset(tmp_path)["image_id"].iloc[0]
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60] = 255
    Image.fromarray(mask).save(tmp_path / f"{image_id}_segmentation.png")
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path))
    app = predict(picture="dataset", image_id=image_id, closer="the lesion's shape")
    assert not app.exception
    assert "the dataset's own outline" in said(app, "caption")
    assert table(app, "value")["Area"] == f"{20 * 40}\N{NO-BREAK SPACE}px²"
    trusted = predict(picture="dataset", image_id=image_id, closer="can the map be trusted?")
    assert "as the dataset's own outline has it" in table(trusted, "finding")[ON_THE_LESION]


def test_a_mask_network_that_is_broken_is_named_and_the_answer_stays(predict, monkeypatch, tmp_path):
    from core.explain import lesion_mask

    monkeypatch.setattr(lesion_mask, "BUNDLED_MASKS", tmp_path)
    lesion_mask._bundled.cache_clear()
    lesion._found.clear()
    app = predict(closer="the lesion's shape")
    lesion_mask._bundled.cache_clear()
    assert not app.exception
    assert "mask network in" in said(app, "error")
    assert len(table(app, "probability")) == 7


def test_a_brush_is_not_trusted():
    sent = {"use": "hide", "points": [[0, 0], [0.5, 0], [0.5, 0.5]]}
    assert read_shape(sent) == ((0, 0), (0.5, 0), (0.5, 0.5))
    assert read_use(sent, {"hide": "Hide"}) == "hide"
    for sent in (None, 3, {}, {"use": "eat", "points": [[0, 9]] * 3}, {"use": "eat", "points": "abc"},
                 {"use": "eat", "points": [[0, 0]] * 99}):  # fmt: skip
        assert read_shape(sent) == ()
        assert read_use(sent, {"hide": "Hide"}) is None


def outline_of(kind, *outlines):
    return write_outlines(f"drawing:{kind}:11", outlines)


@pytest.mark.parametrize("reader", READERS)
def test_an_outline_drawn_by_hand_goes_before_the_networks_and_is_said_to(predict, reader):
    drawn = {"outline": outline_of("mel", BOX), "reader": reader}
    app = predict(closer="the lesion's shape", **drawn)
    assert not app.exception
    assert "drawn by you" in said(app, "caption")
    measures = table(app, "value")
    assert measures["Share of the picture"].startswith("30.")
    trusted = predict(closer="can the map be trusted?", **drawn)
    assert "drawn by you" in said(trusted, "caption")
    assert "as drawn by you" in table(trusted, "finding")[CHECK_WORDS[reader]["lesion"].title]


def test_an_outline_is_undone_and_cleared_back_to_the_networks(predict):
    smaller = [[0.3, 0.3], [0.6, 0.3], [0.6, 0.6]]
    app = predict(closer="the lesion's shape", outline=outline_of("mel", BOX, smaller))
    first = table(app, "value")["Area"]
    app.button(key="outline_undo").click().run()
    assert table(app, "value")["Area"] != first
    assert "drawn by you" in said(app, "caption")
    app.button(key="outline_clear").click().run()
    assert not app.exception
    assert "outline model's" in said(app, "caption")
    assert "outline" not in app.query_params
    assert not [one for one in app.button if one.key == "outline_undo"]


def test_an_outline_stays_with_its_picture(predict):
    app = predict(closer="the lesion's shape", outline=outline_of("nv", BOX))
    assert "drawn by you" not in said(app)


def test_an_outline_that_makes_no_mask_is_refused_by_name_and_the_network_s_stays(predict):
    app = predict(closer="the lesion's shape", outline=outline_of("mel", EIGHT))
    assert not app.exception
    assert "crosses itself" in said(app, "error")
    assert "outline model's" in said(app, "caption")


VIEWS_OF_REASONS = (
    "why A rather than B",
    "other methods",
    "can the map be trusted?",
    "the lesion's shape",
)


@pytest.mark.parametrize(
    "query",
    [{"all_maps": "true"}, {"picture": "several"}, {"picture": "upload"}, {"commit_first": "true"},
     {"drawing": "no lesion: a page of text"},
     *({"closer": view, "draw_outline": "true"} for view in VIEWS_OF_REASONS),
     *({"what_if": view, "changes": "rotate:45"} for view in VIEWS)],
)  # fmt: skip
def test_no_word_of_the_trade_meets_a_patient(open_page, query):
    app = open_page("Predict", **query)
    assert not app.exception
    told = set(everything(app))
    for panel in app.expander:
        if panel.label == FOR_ENGINEERS:
            told -= set(everything(panel))
    strange = {text: FOREIGN_TO_PATIENTS.findall(text) for text in told if FOREIGN_TO_PATIENTS.search(text)}
    assert strange == {}


def test_several_pictures_stand_side_by_side_and_become_a_table(predict):
    app = predict(picture="several")
    files = [
        (f"{seed}.png", picture_bytes(pixels=draw_lesion(seed, kind="nv", size_px=(60, 80))), "image/png")
        for seed in (1, 2)
    ]
    app.file_uploader(key="uploads").set_value([*files, ("=broken.png", b"no", "image/png")]).run()
    assert not app.exception
    assert "=broken.png" in said(app, "error")
    next(button for button in app.button if button.label.startswith("Answer 3")).click().run()
    job = next(name for name in jobs._JOBS if name.startswith("scores:"))
    assert jobs.find(job).wait(60) == "done"
    app.run()
    assert not app.exception
    assert "2 of 3 answered" in said(app)
    table = app.dataframe[0].value
    assert len(table) == 3
    assert table["image"].iloc[2] == "'=broken.png"
    assert table["problem"].iloc[2].startswith("'=broken.png")


def test_the_answer_waits_for_the_reader_s_own_where_that_is_wanted(predict):
    app = predict(commit_first="true")
    assert not app.exception
    assert not app.table
    own = next(box for box in app.selectbox if box.label == "What do you think it is?")
    own.select_index(3).run()
    app.button(key="commit").click().run()
    assert not app.exception
    assert len(table(app, "probability")) == 7
    assert "you agreed on" in said(app)
    assert "of 1." in said(app)


def test_a_refused_picture_tells_no_diagnosis_to_who_committed_first(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "refusing", refuses_all=True))
    app = open_page("Predict", commit_first="true")
    next(box for box in app.selectbox if box.label == "What do you think it is?").select_index(3).run()
    app.button(key="commit").click().run()
    assert not app.exception
    assert "not like the dermoscopic pictures" in said(app, "warning")
    assert "the model says" not in said(app)


def test_a_checkpoint_that_is_written_anew_answers_anew(open_page, use, tmp_path):
    folder = write_checkpoint(tmp_path / "going-on", bias=CLEARLY_NEVUS)
    use(folder)
    first = table(open_page("Predict"), "probability")
    write_checkpoint(folder, bias={"mel": 5.0})
    second = table(open_page("Predict"), "probability")
    assert next(iter(first)) != next(iter(second))
    assert "melanoma" in next(iter(second)).lower()


NUMBER = re.compile(r"[<>]?\s?\d+(?:\.\d+)?\s?%")


def test_every_reader_gets_the_same_numbers_the_same_decision_and_the_same_steps(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "torn", bias=MOSTLY_NEVUS, threshold=0.2, held_out=held_out()))
    apps = {name: open_page("Predict", reader=name, place="self-check") for name in READERS}
    texts = {name: said(app).replace(words.NBSP, " ") for name, app in apps.items()}
    for app in apps.values():
        assert not app.exception
    decided, tables = set(), set()
    for name, app in apps.items():
        boxes = [one for one in app.warning if "Malignancy probability" in one.value]
        decided.add(tuple(tuple(NUMBER.findall(one.value.replace(words.NBSP, " "))) for one in boxes))
        tables.add(tuple(table(app, "probability").values()))
        for step in words.next_steps("nv", above=True):
            assert step in texts[name]
        for tip in words.GOOD_PICTURE:
            assert tip in texts[name]
    assert len(decided) == 1
    assert len(decided.pop()) == 1
    assert len(tables) == 1
    elsewhere = {re.search(r"malignancy probability of \*\*(.*?)\*\*", text)[1] for text in texts.values()}
    assert len(elsewhere) == 1


@pytest.mark.parametrize("above", [True, False, None])
@pytest.mark.parametrize("top", ["mel", "nv"])
def test_what_to_do_never_ends_in_doing_nothing(top, above):
    steps = words.next_steps(top, above)
    assert any("appointment" in step or "looked at" in step for step in steps)
    assert words.SEE_SOMEBODY_SOON in steps
    assert ("appointment" in steps[0]) == (top == "mel" or above is True)
    assert not re.search(r"\b(safe|harmless|no need|don't worry|all clear)\b", " ".join(steps).lower())


def test_a_refused_picture_is_told_how_to_take_a_better_one(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "refusing", refuses_all=True))
    text = said(open_page("Predict"))
    assert "No answer says nothing about the spot" in text
    assert words.GOOD_PICTURE[0] in text


def test_the_engineer_sees_layers_logits_and_times(predict):
    app = predict(reader="ML")
    text = "\n".join(one.value.to_csv() for one in app.table)
    assert "blocks.6" in text
    assert "exact: with bias and facts, their means are the logits" in text
    assert "ms" in text
    assert [one for one in app.dataframe if "sum" in one.value.columns]


def test_a_layer_can_be_chosen_and_one_that_is_none_is_refused(predict):
    app = predict(closer="other methods", reader="ML")
    app.selectbox(key="cam_layer").select("blocks.4").run()
    assert not app.exception
    assert "At blocks.4: 112 channels" in said(app)
    app = predict(closer="other methods", cam_layer="blocks.99")
    assert not app.exception
    assert "has no layer 'blocks.99'; expected blocks.6" in said(app, "error")


def test_where_a_local_checkpoint_lies_is_nobody_s_business(open_page, use, tmp_path):
    use(write_checkpoint(tmp_path / "mine"))
    app = open_page("Predict", reader="ML", point="sensitivity:0.9")
    everything = said(app) + "".join(one.value.to_csv() for one in app.table)
    assert "local:mine" in everything
    assert str(tmp_path) not in everything


FUZZED = {name: picture_bytes(name) for name in ("JPEG", "PNG", "TIFF", "WEBP", "GIF")}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_header_never_breaks_the_page(predict, data):
    kind = data.draw(st.sampled_from(sorted(FUZZED)))
    content = bytearray(FUZZED[kind])
    for place in data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    app = predict(picture="upload")
    app.file_uploader(key="upload").set_value(("fuzzed.png", bytes(content), "image/png")).run()
    assert not app.exception
    refused = [one for one in app.error if "fuzzed" in one.value]
    judged = [one for one in app.table if "probability" in one.value]
    assert refused or judged or "cannot judge this picture" in said(app, "warning")


def test_what_was_not_used_and_the_base_rates_are_said_apart(predict):
    text = said(predict(patient_age="50")).replace(words.NBSP, " ")
    assert "Not given, so without any weight: sex, site." in text
    assert "How common cancer is where you are" in text
    assert "as common as it was among the pictures it learned from" in text
    assert "Melanoma 14.3 %" in text


def test_a_link_carries_which_reasons_are_looked_at(predict):
    app = predict(closer="why A rather than B", explained="Melanoma", rather_than="Dermatofibroma")
    assert not app.exception
    assert "blue for Dermatofibroma" in said(app)
    app = predict(closer="other methods", cam_methods=["Grad-CAM++"])
    assert not app.exception
    assert app.multiselect(key="cam_methods").value == ["grad-cam++"]
