"""Saved tables: text that a spreadsheet would run is text there, and numbers stay numbers."""

import io

import numpy as np
import pandas as pd
import pytest

from core.spreadsheet import guard, to_csv


def read_back(data: bytes, **options) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", comment="#", **options)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "--1", "-1_000", "+nan"],
)
def test_what_begins_like_a_formula_is_marked_as_text(text):
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+5.25", "-1e-3", "ISIC_0024306", "a=1", "", " =1", "1-2"])
def test_numbers_and_plain_text_are_left_alone(text):
    assert guard(text) == text


def test_every_cell_name_and_index_of_a_table_is_guarded_and_numbers_are_not():
    table = pd.DataFrame(
        {
            "=name": ["-1", "=A1"],
            "number": [-1.5, np.nan],
            "whole": [-3, 4],
            "yes": [True, False],
            "string": pd.array(["@x", None], dtype="string"),
        },
        index=pd.Index(["+id", "id"], name="image_id"),
    )
    found = read_back(to_csv(table, index=True), index_col=0)
    assert found.index.tolist() == ["'+id", "id"]
    assert found["'=name"].tolist() == ["-1", "'=A1"]
    assert found["number"].tolist()[0] == -1.5
    assert found["number"].isna().tolist() == [False, True]
    assert found["whole"].tolist() == [-3, 4]
    assert found["yes"].tolist() == [True, False]
    assert found["string"].iloc[0] == "'@x"


def test_a_note_is_one_line_and_no_cell_of_it_is_a_formula():
    data = to_csv(pd.DataFrame({"a": [1]}), notes=["Source: x,=1+1; @y\nand -2", "plain, text - and more"])
    lines = data.decode("utf-8-sig").splitlines()
    assert lines == ["# Source: x,'=1+1; '@y and -2", "# plain, text - and more", "a", "1"]
    assert read_back(data)["a"].tolist() == [1]


def test_names_that_are_not_ascii_can_be_read_by_a_spreadsheet():
    assert to_csv(pd.DataFrame({"Größe": [1]})).startswith(b"\xef\xbb\xbf")
