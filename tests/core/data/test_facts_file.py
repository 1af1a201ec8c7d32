"""Facts beside a folder of pictures: found under any dataset's names, or unknown."""

import pytest

from core.data.facts import Facts
from core.data.facts_file import read_facts
from core.errors import MetadataError


def facts_in(tmp_path, text: str) -> dict[str, Facts]:
    path = tmp_path / "facts.csv"
    path.write_text(text, encoding="utf-8")
    return read_facts(path)


@pytest.mark.parametrize(
    "text",
    [
        "image_id,age,sex,localization\nA,55.0,male,lower extremity\n",
        "image\tage_approx\tsex\tanatom_site_general\nA\t55\tmale\tlower extremity\n",
        "img_id,age,gender,region\nA.png,55,MALE,thigh\n",
        "isic_id;age_years;sex;site\nA.JPG;55;male;lower extremity\n",
    ],
)
def test_columns_are_found_by_the_names_of_each_dataset(tmp_path, text):
    assert facts_in(tmp_path, text) == {"A": Facts(55.0, "male", "lower extremity")}


def test_facts_that_are_absent_or_outside_the_vocabulary_are_unknown(tmp_path):
    text = "image_id,age,sex,localization\nA,,unknown,unknown\nB,40,x,moon\n"
    assert facts_in(tmp_path, text) == {"A": Facts(), "B": Facts(age_years=40.0)}


def test_names_alone_are_pictures_without_facts(tmp_path):
    assert facts_in(tmp_path, "image\nA\nB\n") == {"A": Facts(), "B": Facts()}


def test_a_dot_in_a_name_is_not_an_ending(tmp_path):
    assert set(facts_in(tmp_path, "image\nscan.01\nscan.02.jpg\n")) == {"scan.01", "scan.02"}


def test_a_table_without_names_is_refused(tmp_path):
    with pytest.raises(MetadataError, match=r"facts\.csv has no column of picture names; expected one of"):
        facts_in(tmp_path, "age,sex\n50,male\n")


@pytest.mark.parametrize("age", ["-1", "130", "old"])
def test_an_age_that_cannot_be_is_refused_with_its_row(tmp_path, age):
    with pytest.raises(MetadataError, match=rf"facts\.csv, row 3: age '{age}'"):
        facts_in(tmp_path, f"image_id,age\nA,50\nB,{age}\n")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MetadataError, match=r"none\.csv cannot be read"):
        read_facts(tmp_path / "none.csv")
