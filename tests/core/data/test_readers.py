"""Dataset folders in every layout give the one metadata table, or are refused by name."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.data.metadata import COLUMNS, validate_metadata
from core.data.readers import READERS, count_missing, read_dataset
from core.errors import MetadataError
from tests.conftest import ROOT

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization"
HAM_ROWS = (
    "HAM_1,ISIC_1,mel,histo,80.0,male,scalp",
    "HAM_1,ISIC_2,mel,histo,80.0,male,scalp",
    "HAM_2,ISIC_3,nv,follow_up,0.0,unknown,unknown",
    "HAM_3,ISIC_4,bkl,consensus,,female,lower extremity",
)


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def picture(path: Path, shade: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (shade, 90, 80)).save(path)
    return path


def kaggle(folder: Path) -> Path:
    write(folder / "HAM10000_metadata.csv", HAM, *HAM_ROWS)
    picture(folder / "HAM10000_images_part_1" / "ISIC_1.jpg")
    picture(folder / "HAM10000_images_part_1" / "ISIC_2.jpg")
    picture(folder / "HAM10000_images_part_2" / "ISIC_3.jpg")
    write(folder / "hmnist_8_8_L.csv", "pixel0000,pixel0001,label", "1,2,3")
    return folder


def dataverse(folder: Path) -> Path:
    rows = [line.replace(",", "\t") + "\tvidir_modern" for line in HAM_ROWS]
    write(folder / "HAM10000_metadata", HAM.replace(",", "\t") + "\tdataset", *rows)
    picture(folder / "HAM10000_images_part_1" / "ISIC_1.jpg")
    picture(folder / "HAM10000_segmentations_lesion_tschandl" / "ISIC_1_segmentation.png")
    return folder


def isic_2018(folder: Path) -> Path:
    write(
        folder / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv",
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC",
        "ISIC_1,0.0,1.0,0.0,0.0,0.0,0.0,0.0",
        "ISIC_2,1.0,0.0,0.0,0.0,0.0,0.0,0.0",
        "ISIC_3,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
    )
    write(
        folder / "ISIC2018_Task3_Training_LesionGroupings.csv",
        "image,lesion_id,diagnosis confirm type",
        "ISIC_1,HAM_7,serial imaging showing no change",
        "ISIC_2,HAM_8,histopathology",
    )
    picture(folder / "ISIC2018_Task3_Training_Input" / "ISIC_1.jpg")
    return folder


def isic_archive(folder: Path) -> Path:
    write(
        folder / "metadata.csv",
        "isic_id,attribution,age_approx,anatom_site_general,anatom_site_special,diagnosis_1,diagnosis_2,"
        "diagnosis_3,diagnosis_confirm_type,lesion_id,sex",
        'ISIC_1,"A, B",45,anterior torso,,Benign,Benign melanocytic proliferations,Nevus,,IL_1,female',
        'ISIC_2,"A, B",,head/neck,,Malignant,x,"Melanoma, NOS",histopathology,,male',
        "ISIC_3,A,60,hand,acral palms or soles,Benign,Benign soft tissue proliferations - Vascular,,,IL_3,",
        "ISIC_4,A,60,,,Benign,Benign soft tissue proliferations - Fibro-histiocytic,Scar,,IL_4,male",
        'ISIC_5,A,60,,,Malignant,x,"Squamous cell carcinoma, Invasive",histopathology,IL_5,male',
        'ISIC_6,A,60,,,Malignant,x,"Squamous cell carcinoma, NOS",histopathology,IL_6,male',
        "ISIC_7,A,60,,,Benign,,,,IL_7,male",
    )
    picture(folder / "ISIC_1.JPG")
    return folder


def pad_ufes(folder: Path) -> Path:
    write(
        folder / "metadata.csv",
        "patient_id,lesion_id,smoke,age,gender,region,diagnostic,img_id,biopsed",
        "PAT_1,5,,8,,ARM,NEV,PAT_1_5_9.png,False",
        "PAT_2,5,True,55,FEMALE,NOSE,BCC,PAT_2_5_7.png,True",
        "PAT_3,6,True,61,MALE,BACK,SCC,PAT_3_6_1.png,True",
    )
    picture(folder / "images" / "PAT_1_5_9.jpg")
    return folder


def folder_per_class(folder: Path) -> Path:
    picture(folder / "MEL" / "one.jpg")
    picture(folder / "Melanocytic nevus" / "two.png")
    picture(folder / "basal_cell_carcinoma" / "deep" / "three.jpeg")
    picture(folder / "stray.jpg")
    return folder


def lesionlens(folder: Path) -> Path:
    write(
        folder / "metadata.csv",
        "image_id,lesion_id,dx,dx_type,age_years,sex,site,source,augmented_from",
        "ISIC_1,HAM_1,mel,histo,80.0,male,scalp,ham10000,",
        "ISIC_1_aug01,HAM_1,mel,histo,80.0,male,scalp,ham10000,ISIC_1",
        "PAT_1_5_9,PAT_1_5,nv,,8.5,,,pad_ufes_20,",
    )
    picture(folder / "images" / "ISIC_1.jpg")
    picture(folder / "images" / "ISIC_1_aug01.jpg")
    return folder


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "kaggle": kaggle,
    "dataverse": dataverse,
    "isic_2018": isic_2018,
    "isic_archive": isic_archive,
    "pad_ufes_20": pad_ufes,
    "folder_per_class": folder_per_class,
    "lesionlens": lesionlens,
}


def row(table: pd.DataFrame, image_id: str) -> pd.Series:
    return table.set_index("image_id").loc[image_id]


def test_every_layout_has_an_example_here():
    assert set(EXAMPLES) == set(READERS)
    assert all(name == reader.name and reader.about for name, reader in READERS.items())


@pytest.mark.parametrize("name", READERS)
def test_a_layout_is_found_out_and_gives_a_validated_table(name, tmp_path):
    folder = EXAMPLES[name](tmp_path)
    table = read_dataset(folder)
    assert tuple(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(validate_metadata(table, source_name="again"), table)
    assert table["source"].notna().all()
    found = table["image_path"].dropna()
    assert len(found) >= 1
    assert all(Path(path).is_file() for path in found)
    pd.testing.assert_frame_equal(READERS[name].read(folder), table)


@pytest.mark.parametrize("name", READERS)
def test_a_layout_is_taken_for_no_other(name, tmp_path):
    folder = EXAMPLES[name](tmp_path)
    assert [other for other, reader in READERS.items() if reader.matches(folder)] == [name]


@pytest.mark.parametrize("name", READERS)
def test_reading_an_empty_folder_as_a_layout_is_refused(name, tmp_path):
    with pytest.raises(MetadataError):
        read_dataset(tmp_path, layout=name)


@pytest.mark.parametrize("name", [name for name in READERS if name != "folder_per_class"])
def test_facts_without_any_picture_are_normal_and_counted(name, tmp_path):
    folder = EXAMPLES[name](tmp_path)
    for path in [path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".png"}]:
        path.unlink()
    table = read_dataset(folder)
    assert count_missing(table) == len(table) > 0


@pytest.mark.parametrize("name", [name for name in READERS if name != "folder_per_class"])
def test_spreadsheet_leftovers_change_nothing(name, tmp_path):
    plain = read_dataset(EXAMPLES[name](tmp_path / "plain"))
    folder = EXAMPLES[name](tmp_path / "saved")
    for path in [*folder.rglob("*.csv"), *folder.rglob("HAM10000_metadata")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        write(path, *lines, "", "", end="\r\n", encoding="utf-8-sig")
    saved = read_dataset(folder)
    paths = ["image_path"]
    pd.testing.assert_frame_equal(saved.drop(columns=paths), plain.drop(columns=paths))


@pytest.mark.parametrize("name", READERS)
def test_reading_writes_nothing(name, tmp_path):
    folder = EXAMPLES[name](tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    read_dataset(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_kaggle_rows_come_as_they_are(tmp_path):
    table = read_dataset(kaggle(tmp_path))
    assert len(table) == 4
    first = row(table, "ISIC_1")
    assert (first["lesion_id"], first["dx"], first["dx_type"]) == ("HAM_1", "mel", "histo")
    assert (first["age_years"], first["sex"], first["site"]) == (80, "male", "scalp")
    assert row(table, "ISIC_3")["age_years"] == 0
    assert row(table, "ISIC_3")[["sex", "site"]].isna().all()
    assert pd.isna(row(table, "ISIC_4")["age_years"])
    assert count_missing(table) == 1
    assert table.attrs == {
        "left_out": {},
        "unmapped": {},
        "labels": {"mel": ("mel", 2), "nv": ("nv", 1), "bkl": ("bkl", 1)},
    }


def test_lower_case_twins_and_suffixes_in_any_case_are_one_picture_each(tmp_path):
    kaggle(tmp_path)
    for path in list(tmp_path.rglob("*.jpg")):
        picture(tmp_path / path.parent.name.lower() / path.name)
    picture(tmp_path / "ham10000_images_part_2" / "nested" / "isic_4.JPEG")
    table = read_dataset(tmp_path)
    assert count_missing(table) == 0
    assert Path(row(table, "ISIC_1")["image_path"]).parent.name == "HAM10000_images_part_1"
    assert Path(row(table, "ISIC_4")["image_path"]).name == "isic_4.JPEG"


def test_the_same_table_twice_is_one_and_two_different_ones_are_refused(tmp_path):
    kaggle(tmp_path)
    write(tmp_path / "copy" / "ham10000_METADATA.csv", HAM, *HAM_ROWS)
    assert len(read_dataset(tmp_path)) == 4
    write(tmp_path / "copy" / "ham10000_METADATA.csv", HAM, *HAM_ROWS[:2])
    with pytest.raises(MetadataError, match="2 tables"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_dataverse_metadata_may_be_separated_by_commas_or_tabs(tmp_path, separator):
    write(tmp_path / "HAM10000_metadata", *(line.replace(",", separator) for line in (HAM, *HAM_ROWS)))
    assert read_dataset(tmp_path)["dx"].tolist() == ["mel", "mel", "nv", "bkl"]


def test_the_official_test_set_of_dataverse_is_read(tmp_path):
    write(tmp_path / "ISIC2018_Task3_Test_GroundTruth.tab", *(f"{line},x" for line in (HAM, *HAM_ROWS)))
    assert len(read_dataset(tmp_path)) == 4


def test_isic_2018_takes_lesions_from_the_groupings_where_they_are(tmp_path):
    table = read_dataset(isic_2018(tmp_path))
    assert table["dx"].tolist() == ["nv", "mel", "vasc"]
    assert table["lesion_id"].tolist() == ["HAM_7", "HAM_8", "ISIC_3"]
    assert table["dx_type"].tolist()[:2] == ["follow_up", "histo"]
    assert pd.isna(table["dx_type"][2])


def test_training_and_test_truth_of_isic_2018_are_never_merged(tmp_path):
    isic_2018(tmp_path)
    write(tmp_path / "test.csv", "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", "ISIC_9,1,0,0,0,0,0,0")
    with pytest.raises(MetadataError, match=r"2 tables.*test\.csv"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "values", ["0,0,0,0,0,0,0", "1,1,0,0,0,0,0", "0.5,0.5,0,0,0,0,0", "x,1,0,0,0,0,0", "nan,1,0,0,0,0,0"]
)
def test_isic_2018_rows_that_are_not_one_hot_are_refused(tmp_path, values):
    write(
        tmp_path / "truth.csv",
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC",
        "ISIC_8,1,0,0,0,0,0,0",
        f"ISIC_9,{values}",
    )
    with pytest.raises(MetadataError, match=r"truth\.csv, row 3: ISIC_9 has .*one 1 and six 0"):
        read_dataset(tmp_path)


def test_the_archives_words_become_ours_and_the_rest_is_left_out_and_counted(tmp_path):
    table = read_dataset(isic_archive(tmp_path))
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == {
        "ISIC_1": "nv",
        "ISIC_2": "mel",
        "ISIC_3": "vasc",
        "ISIC_6": "akiec",
    }
    assert table.attrs["left_out"] == {
        "diagnosis 'Scar' is none of the seven": 1,
        "diagnosis 'Squamous cell carcinoma, Invasive' is none of the seven": 1,
        "diagnosis 'Benign' is none of the seven": 1,
    }
    assert row(table, "ISIC_1")["site"] == "trunk"
    assert pd.isna(row(table, "ISIC_2")["site"])
    assert row(table, "ISIC_2")["lesion_id"] == "ISIC_2"
    assert row(table, "ISIC_3")["site"] == "acral"
    # "hand" is no word of the archive: the row stays, and the word is counted.
    assert table.attrs["unmapped"] == {"anatom_site_general 'hand'": 1}


def test_rows_left_out_keep_the_numbers_of_the_others(tmp_path):
    isic_archive(tmp_path)
    path = tmp_path / "metadata.csv"
    path.write_text(path.read_text().replace("ISIC_6", "ISIC_1"))
    with pytest.raises(MetadataError, match=r"metadata\.csv, row 7: image_id is 'ISIC_1'"):
        read_dataset(tmp_path)


def test_a_table_of_nothing_usable_says_what_was_left_out(tmp_path):
    write(tmp_path / "metadata.csv", "isic_id,diagnosis_1,diagnosis_2,diagnosis_3", "I_1,Benign,x,Scar")
    with pytest.raises(MetadataError, match=r"no image that can be used .*'Scar'.*: 1"):
        read_dataset(tmp_path)


def test_pad_ufes_pictures_match_by_stem_and_lesions_by_patient(tmp_path):
    table = read_dataset(pad_ufes(tmp_path))
    assert table["image_id"].tolist() == ["PAT_1_5_9", "PAT_2_5_7", "PAT_3_6_1"]
    assert table["lesion_id"].tolist() == ["PAT_1_5", "PAT_2_5", "PAT_3_6"]
    assert table["dx"].tolist() == ["nv", "bcc", "akiec"]
    assert table["dx_type"].tolist() == ["consensus", "histo", "histo"]
    assert table["site"].tolist() == ["upper extremity", "face", "back"]
    assert count_missing(table) == 2


def test_an_unknown_diagnosis_of_pad_ufes_is_refused(tmp_path):
    pad_ufes(tmp_path)
    path = tmp_path / "metadata.csv"
    path.write_text(path.read_text().replace("SCC", "WART"))
    with pytest.raises(MetadataError, match=r"metadata\.csv, row 4: dx is 'WART' \(in 1 row\).*label map"):
        read_dataset(tmp_path)


def test_class_folders_give_their_name_as_diagnosis(tmp_path):
    table = read_dataset(folder_per_class(tmp_path))
    assert dict(zip(table["image_id"], table["dx"], strict=True)) == {
        "one": "mel",
        "two": "nv",
        "three": "bcc",
    }
    assert (table["lesion_id"] == table["image_id"]).all()
    assert table.attrs["left_out"] == {"pictures in no class folder": 1}


def test_a_folder_that_names_no_diagnosis_is_refused(tmp_path):
    folder_per_class(tmp_path)
    picture(tmp_path / "melanomaa" / "four.jpg")
    with pytest.raises(MetadataError, match=r"'melanomaa'.*akiec"):
        read_dataset(tmp_path)


def test_one_name_in_two_class_folders_is_refused_and_in_one_is_counted(tmp_path):
    folder_per_class(tmp_path)
    picture(tmp_path / "MEL" / "again" / "one.png")
    assert read_dataset(tmp_path).attrs["left_out"]["pictures whose name another one in its class has"] == 1
    picture(tmp_path / "bcc" / "one.jpg")
    with pytest.raises(MetadataError, match="share a name but not a diagnosis"):
        read_dataset(tmp_path)


def test_links_out_of_the_dataset_are_not_followed(tmp_path):
    folder = kaggle(tmp_path / "data")
    secret = picture(tmp_path / "secret" / "private.jpg")
    (folder / "ISIC_4.jpg").symlink_to(secret)
    picture(tmp_path / "secret" / "ISIC_4.jpg")
    (folder / "more").symlink_to(tmp_path / "secret", target_is_directory=True)
    table = read_dataset(folder)
    assert pd.isna(row(table, "ISIC_4")["image_path"])
    assert table.attrs["left_out"] == {"files that are links out of the dataset's folder": 1}


def test_links_within_the_dataset_and_a_linked_root_are_followed(tmp_path):
    folder = kaggle(tmp_path / "data")
    (folder / "ISIC_4.jpg").symlink_to(folder / "HAM10000_images_part_1" / "ISIC_1.jpg")
    (folder / "ISIC_5.jpg").symlink_to(folder / "gone.jpg")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert count_missing(read_dataset(tmp_path / "link")) == 0


def test_hidden_files_are_passed_by(tmp_path):
    kaggle(tmp_path)
    write(tmp_path / "__MACOSX" / "HAM10000_metadata.csv", "junk")
    write(tmp_path / "._HAM10000_metadata.csv", "junk")
    assert len(read_dataset(tmp_path)) == 4


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ([HAM], ["no rows"]),
        ([""], ["is empty"]),
        (["lesion_id,image_id,dx", "a,b,nv"], ["lacks the columns dx_type, age, sex, localization"]),
        (["dx," + HAM, "nv,a,b,nv,histo,1,male,back"], ["column 'dx' twice"]),
        ([HAM, "a,b,wart,histo,1,male,back"], ["row 2", "dx is 'wart'", "expected one of akiec"]),
        ([HAM, *HAM_ROWS, "x,ISIC_1,mel,histo,80,male,scalp"], ["row 6", "'ISIC_1'", "once"]),
        ([HAM, *HAM_ROWS, "HAM_2,I_9,mel,histo,80,male,scalp"], ["row 6", "lesion 'HAM_2'", "'nv'"]),
        ([HAM, "", "a,b,nv,histo,abc,male,back"], ["row 3", "age is 'abc'", "0 to 120"]),
        ([HAM, "a,b,nv,histo,-3,male,back"], ["row 2", "'-3'"]),
        ([HAM, "a,b,nv,histo,999,male,back"], ["row 2", "'999'"]),
        ([HAM, "a,../b,nv,histo,9,male,back"], ["row 2", "'../b'", "path separators"]),
        ([HAM, "a,b,nv,histo,9,male"], ["row 2 has 6 fields", "expected 7"]),
        ([HAM, HAM_ROWS[0], "a,b,nv,histo,9,male,back,x"], ["row 3 has 8 fields"]),
        ([HAM, 'a,"b,nv,histo,9,male,back'], ["after row 1", "quotes"]),
        ([HAM, "a,b,nv,histo,9,m\u00e4le,back"], []),
    ],
)
def test_a_broken_table_is_refused_with_file_row_offender_and_expectation(tmp_path, lines, parts):
    encoding = "utf-8" if parts else "cp1252"
    write(tmp_path / "HAM10000_metadata.csv", *lines, encoding=encoding)
    with pytest.raises(MetadataError) as refusal:
        read_dataset(tmp_path)
    for part in ["HAM10000_metadata.csv", *(parts or ["UTF-8"])]:
        assert part in str(refusal.value)


def test_quoted_fields_with_line_breaks_count_as_one_row(tmp_path):
    write(
        tmp_path / "metadata.csv",
        "isic_id,attribution,diagnosis_1,diagnosis_3",
        'ISIC_1,"first line\nsecond line",Benign,Nevus',
        'ISIC_1,"say ""hello""",Benign,Nevus',
    )
    with pytest.raises(MetadataError, match="row 3: image_id is 'ISIC_1'"):
        read_dataset(tmp_path)


def test_strange_folders_and_layouts_are_refused(tmp_path):
    with pytest.raises(MetadataError, match="is not a folder"):
        read_dataset(tmp_path / "nothing")
    with pytest.raises(MetadataError, match="no dataset layout known here: kaggle"):
        read_dataset(tmp_path)
    with pytest.raises(MetadataError, match="no layout 'kagle'; expected one of kaggle"):
        read_dataset(tmp_path, layout="kagle")


def test_a_folder_that_fits_two_layouts_needs_to_be_told_which(tmp_path):
    kaggle(tmp_path)
    folder_per_class(tmp_path)
    with pytest.raises(MetadataError, match="more than one layout"):
        read_dataset(tmp_path)
    assert len(read_dataset(tmp_path, layout="kaggle")) == 4


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(sites=st.lists(WORDS, min_size=1, max_size=6), sexes=st.lists(WORDS, min_size=6, max_size=6))
def test_any_words_for_sex_and_site_give_a_table(tmp_path_factory, sites, sexes):
    folder = tmp_path_factory.mktemp("words")
    with (folder / "HAM10000_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HAM.split(","))
        for number, (site, sex) in enumerate(zip(sites, sexes, strict=False)):
            rows.writerow(["l", f"i{number}", "nv", "histo", "", sex, site])
    table = read_dataset(folder)
    assert len(table) == len(sites)
    assert table.attrs["unmapped"].keys() <= {
        *(f"sex {word.strip()!r}" for word in sexes),
        *(f"localization {word.strip()!r}" for word in sites),
    }


@pytest.mark.real_data
def test_ham10000_itself_has_the_counts_of_its_paper(ham10000_folder):
    table = read_dataset(ham10000_folder)
    assert len(table) == 10_015
    assert table["lesion_id"].nunique() == 7_470
    assert table["dx"].value_counts().to_dict() == {
        "nv": 6705,
        "mel": 1113,
        "bkl": 1099,
        "bcc": 514,
        "akiec": 327,
        "vasc": 142,
        "df": 115,
    }
    assert table.groupby("dx")["lesion_id"].nunique().to_dict() == {
        "akiec": 228,
        "bcc": 327,
        "bkl": 727,
        "df": 73,
        "mel": 614,
        "nv": 5403,
        "vasc": 98,
    }
    assert table[["age_years", "sex", "site"]].isna().sum().tolist() == [57, 57, 234]
    assert (table["age_years"] == 0).sum() == 39
    assert set(table.loc[table["dx"].isin(["mel", "bcc", "akiec"]), "dx_type"]) == {"histo"}
    assert count_missing(table) == 0
    assert (table.attrs["left_out"], table.attrs["unmapped"]) == ({}, {})


def test_rows_separated_otherwise_than_the_header_are_refused_with_the_cure(tmp_path):
    write(tmp_path / "HAM10000_metadata.csv", HAM, HAM_ROWS[0], HAM_ROWS[1].replace(",", ";"))
    with pytest.raises(MetadataError, match=r"row 3 is separated by ';', the header by ','; save the table"):
        read_dataset(tmp_path)


def test_renamed_pictures_are_counted_where_images_lack_theirs(tmp_path):
    kaggle(tmp_path)
    parts = tmp_path / "HAM10000_images_part_1"
    (parts / "ISIC_1.jpg").rename(parts / "copy of ISIC_1.jpg")
    picture(tmp_path / "masks" / "ISIC_2_segmentation.png")
    table = read_dataset(tmp_path)
    assert count_missing(table) == 2
    assert table.attrs["left_out"] == {"pictures that bear no image's name (were they renamed?)": 1}


def test_a_table_that_no_layout_fits_is_told_what_it_lacks(tmp_path):
    write(tmp_path / "lesions.csv", "image_id,lesion_id,dx,age,sex", "a,b,nv,50,male")
    with pytest.raises(
        MetadataError,
        match=r"lesions\.csv comes closest to dataverse, but lacks the columns dx_type, localization",
    ):
        read_dataset(tmp_path)


def test_folders_and_tables_without_permission_are_named_with_the_cure(tmp_path):
    """Run as nobody where this test is root, whom no permission stops."""
    data = kaggle(tmp_path / "data")
    isic = isic_archive(tmp_path / "isic")
    kaggle(tmp_path / "first")
    (data / "HAM10000_images_part_1").chmod(0)
    (isic / "metadata.csv").chmod(0)
    (tmp_path / "locked" / "inner").mkdir(parents=True)
    (tmp_path / "locked").chmod(0)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from core.data.readers import count_missing, read_dataset\n"
        # Python loads the rest of itself meanwhile: nobody may not read root's own.
        "read_dataset(Path(sys.argv[1]) / 'first')\n"
        "if os.geteuid() == 0:\n"
        "    os.setegid(65534); os.seteuid(65534)\n"
        "os.chdir(sys.argv[1])\n"
        "table = read_dataset(Path('data'))\n"
        "print(len(table), count_missing(table), table.attrs['left_out'])\n"
        "for folder in ('isic', 'locked', 'locked/inner'):\n"
        "    try:\n"
        "        read_dataset(Path(folder))\n"
        "    except Exception as problem:\n"
        "        print(type(problem).__name__, problem)\n"
    )
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (tmp_path / "locked").chmod(0o755)
    (data / "HAM10000_images_part_1").chmod(0o755)
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert said[0] == "4 3 {'folders that may not be read': 1}"
    assert len(said) == 4
    for line, name in zip(said[1:], ("metadata.csv", "locked", "inner"), strict=True):
        assert line.startswith("MetadataError ")
        assert f"{name} cannot be read: Permission denied. Let the account" in line
