"""Tests of the settings: who wins, what is refused, and that each is described."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.settings import NAMES, REPOSITORY, Settings, read_settings, settings

# For each setting: its field, a value as the environment gives it, the same in TOML, and what becomes of it.
EXAMPLES = {
    "LESIONLENS_DATA": ("data_dir", "/data/ham10000", '"/data/ham10000"', Path("/data/ham10000")),
    "LESIONLENS_CACHE": ("cache_dir", "/big/cache", '"/big/cache"', Path("/big/cache")),
    "LESIONLENS_RUNS": ("runs_dir", "/big/runs", '"/big/runs"', Path("/big/runs")),
    "LESIONLENS_ALLOW_TRAINING": ("allow_training", "no", "false", False),
    "LESIONLENS_ALLOW_FOLDERS": ("allow_folders", "no", "false", False),
    "LESIONLENS_HUB_OWNER": ("hub_owner", "a-clinic", '"a-clinic"', "a-clinic"),
    "HF_TOKEN": ("hub_token", "hf_invented", '"hf_invented"', "hf_invented"),
    "LESIONLENS_HUB_TIMEOUT": ("hub_timeout_s", "2.5", "2.5", 2.5),
    "LESIONLENS_CHECKPOINT": ("default_checkpoint", "local:/weights", '"local:/weights"', "local:/weights"),
    "LESIONLENS_MAX_UPLOAD_MB": ("max_upload_mb", "7", "7", 7),
}

WRONG = {
    "LESIONLENS_DATA": ("  ",),
    "LESIONLENS_CACHE": ("  ",),
    "LESIONLENS_RUNS": ("  ",),
    "LESIONLENS_ALLOW_TRAINING": ("maybe", "2"),
    "LESIONLENS_ALLOW_FOLDERS": ("maybe", "2"),
    "LESIONLENS_HUB_OWNER": ("  ",),
    "HF_TOKEN": ("  ",),
    "LESIONLENS_HUB_TIMEOUT": ("soon", "0", "-1", "nan", "inf"),
    "LESIONLENS_CHECKPOINT": ("  ",),
    "LESIONLENS_MAX_UPLOAD_MB": ("big", "0", "-3", "2.5", "²"),
}


@pytest.fixture
def secrets_file(tmp_path):
    return tmp_path / "secrets.toml"


def test_every_setting_has_a_field_and_an_example_here():
    assert [field.name for field in dataclasses.fields(Settings)] == [EXAMPLES[name][0] for name in NAMES]
    assert set(WRONG) == set(NAMES)


def test_nothing_set_gives_usable_defaults(secrets_file):
    default = read_settings({}, secrets_file)
    assert default.data_dir is None
    assert default.cache_dir.is_absolute()
    assert default.cache_dir.name == "lesionlens"
    assert default.runs_dir == REPOSITORY / "runs"
    assert default.hub_timeout_s == 5
    assert default.default_checkpoint == "bundled:lesionlens-lite0"
    assert default.max_upload_mb == 20


@pytest.mark.parametrize("name", NAMES)
def test_a_value_in_the_environment_reaches_its_field_and_no_other(name, secrets_file):
    field, text, _, expected = EXAMPLES[name]
    assert read_settings({name: text}, secrets_file) == dataclasses.replace(
        read_settings({}, secrets_file), **{field: expected}
    )


@pytest.mark.parametrize("spelled", [str.upper, str.lower])
@pytest.mark.parametrize("name", NAMES)
def test_a_value_in_the_secrets_file_reaches_its_field(name, spelled, secrets_file):
    field, _, toml, expected = EXAMPLES[name]
    secrets_file.write_text(f"{spelled(name)} = {toml}\n")
    assert getattr(read_settings({}, secrets_file), field) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_wins_over_the_secrets_file(name, secrets_file):
    field, text, _, expected = EXAMPLES[name]
    secrets_file.write_text(f'{name} = "another"\n')
    assert getattr(read_settings({name: text}, secrets_file), field) == expected


def test_an_empty_value_counts_as_not_set(secrets_file):
    secrets_file.write_text("LESIONLENS_MAX_UPLOAD_MB = 7\n")
    assert read_settings({"LESIONLENS_MAX_UPLOAD_MB": ""}, secrets_file).max_upload_mb == 7


def test_a_home_folder_is_expanded(secrets_file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert read_settings({"LESIONLENS_RUNS": "~/runs"}, secrets_file).runs_dir == Path("/home/ada/runs")


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_refused_by_its_name(name, text, secrets_file):
    with pytest.raises(SettingsError, match=name):
        read_settings({name: text}, secrets_file)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_where_one_value_belongs_is_refused_by_its_name(name, secrets_file):
    secrets_file.write_text(f"[{name}]\nvalue = 1\n")
    with pytest.raises(SettingsError, match=name):
        read_settings({}, secrets_file)


def test_a_misspelled_setting_in_the_secrets_file_is_refused(secrets_file):
    secrets_file.write_text('LESIONLENS_DATTA = "/data"\n')
    with pytest.raises(SettingsError, match="LESIONLENS_DATTA"):
        read_settings({}, secrets_file)


def test_other_keys_of_the_secrets_file_are_left_alone(secrets_file):
    secrets_file.write_text('password = "streamlit\'s business"\n[connections.db]\nurl = "x"\n')
    assert read_settings({}, secrets_file) == read_settings({}, secrets_file.with_name("missing.toml"))


@pytest.mark.parametrize("content", [b"LESIONLENS_DATA = ", b"\xff\xfe"])
def test_a_broken_secrets_file_is_refused_by_its_name(content, secrets_file):
    secrets_file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"secrets\.toml"):
        read_settings({}, secrets_file)


def test_a_token_is_never_shown(secrets_file):
    assert "hf_invented" not in repr(read_settings({"HF_TOKEN": "hf_invented"}, secrets_file))
    secrets_file.write_text('HF_TOKEN = ["hf_invented"]\n')
    with pytest.raises(SettingsError, match="HF_TOKEN") as refusal:
        read_settings({}, secrets_file)
    assert "hf_invented" not in str(refusal.value)


def test_the_settings_are_read_once(monkeypatch):
    monkeypatch.setenv("LESIONLENS_MAX_UPLOAD_MB", "7")
    assert settings().max_upload_mb == 7
    monkeypatch.setenv("LESIONLENS_MAX_UPLOAD_MB", "8")
    assert settings().max_upload_mb == 7
    settings.cache_clear()
    assert settings().max_upload_mb == 8


def test_tests_run_in_folders_of_their_own():
    assert settings().cache_dir != read_settings({}, Path("missing.toml")).cache_dir
    assert settings().runs_dir != REPOSITORY / "runs"


def test_the_example_file_describes_every_setting_and_is_right_as_it_stands():
    example = (REPOSITORY / ".streamlit" / "secrets.toml.example").read_text(encoding="utf-8")
    # Each setting is a commented line of its own: uncommented, the file must be good TOML with good values.
    lines = example.splitlines()
    settable = [line[2:] for line in lines if line.startswith("# ") and line[2:].split(" = ")[0] in NAMES]
    values = tomllib.loads("\n".join(settable))
    assert list(values) == list(NAMES)
    read_settings({name: str(value) for name, value in values.items()}, Path("missing.toml"))
    assert tomllib.loads(example) == {}


def test_the_readme_lists_every_setting():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in readme] == []
