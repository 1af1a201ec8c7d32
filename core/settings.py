"""The settings, read once: the environment first, then `.streamlit/secrets.toml`, then the defaults.

Add one by adding its name to NAMES, a field to Settings and its line in `_read`;
`.streamlit/secrets.toml.example` and the README's table describe it.
"""

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from platformdirs import user_cache_path

from core.errors import SettingsError

REPOSITORY: Final = Path(__file__).resolve().parents[1]
SECRETS_FILE: Final = REPOSITORY / ".streamlit" / "secrets.toml"

YES: Final = ("1", "true", "yes", "on")
NO: Final = ("0", "false", "no", "off")

NAMES: Final = (
    "LESIONLENS_DATA",
    "LESIONLENS_CACHE",
    "LESIONLENS_RUNS",
    "LESIONLENS_ALLOW_TRAINING",
    "LESIONLENS_ALLOW_FOLDERS",
    "LESIONLENS_HUB_OWNER",
    "HF_TOKEN",
    "LESIONLENS_HUB_TIMEOUT",
    "LESIONLENS_CHECKPOINT",
    "LESIONLENS_MAX_UPLOAD_MB",
)


@dataclass(frozen=True)
class Settings:
    """What a person can set, in the order of NAMES.

    Attributes:
        data_dir: folder of the dataset to explore; None when there is none.
        cache_dir: where image stores and downloads lie.
        runs_dir: where training runs lie.
        allow_training: whether the Train page may start a training process on this machine.
        allow_folders: whether somebody at this machine may open any of its folders on the Explore page.
        hub_owner: user or organisation on the Hugging Face Hub under which checkpoints are published.
        hub_token: access token of the Hub, for gated and private repositories. Never shown.
        hub_timeout_s: how long the Hub may take to answer, in seconds.
        default_checkpoint: reference of the checkpoint that answers first.
        max_upload_mb: largest picture that is accepted, in megabytes.
    """

    data_dir: Path | None
    cache_dir: Path
    runs_dir: Path
    allow_training: bool
    allow_folders: bool
    hub_owner: str | None
    hub_token: str | None = field(repr=False)
    hub_timeout_s: float
    default_checkpoint: str
    max_upload_mb: int


@cache
def settings() -> Settings:
    """Return the settings of this process, read at the first call; `settings.cache_clear()` forgets them.

    Raises:
        SettingsError: a value cannot be used, or secrets.toml cannot be read.
    """
    return read_settings(os.environ, SECRETS_FILE)


def read_settings(environment: Mapping[str, str], secrets_file: Path) -> Settings:
    """Read the settings from an environment and a secrets file; the environment wins.

    An empty value counts as not set. The file may be missing; its top-level keys bear the settings' names,
    in upper or lower case, and other keys in it are Streamlit's or the host's business.

    Raises:
        SettingsError: a value cannot be used, the file cannot be read, or it misspells a setting.
    """
    secrets = _read_secrets(secrets_file)
    given = {name: value for name in NAMES if (value := environment.get(name) or secrets.get(name, "")) != ""}
    return _read(given)


def _read(given: Mapping[str, object]) -> Settings:
    return Settings(
        data_dir=_value(given, "LESIONLENS_DATA", _folder, None),
        cache_dir=_value(given, "LESIONLENS_CACHE", _folder, user_cache_path("lesionlens", appauthor=False)),
        runs_dir=_value(given, "LESIONLENS_RUNS", _folder, REPOSITORY / "runs"),
        allow_training=_value(given, "LESIONLENS_ALLOW_TRAINING", _switch, True),
        allow_folders=_value(given, "LESIONLENS_ALLOW_FOLDERS", _switch, True),
        hub_owner=_value(given, "LESIONLENS_HUB_OWNER", _text, None),
        hub_token=_value(given, "HF_TOKEN", _text, None),
        hub_timeout_s=_value(given, "LESIONLENS_HUB_TIMEOUT", _seconds, 5.0),
        default_checkpoint=_value(given, "LESIONLENS_CHECKPOINT", _text, "bundled:lesionlens-lite0"),
        max_upload_mb=_value(given, "LESIONLENS_MAX_UPLOAD_MB", _megabytes, 20),
    )


Value = TypeVar("Value")
Default = TypeVar("Default")


def _value(
    given: Mapping[str, object], name: str, convert: Callable[[str], Value], default: Default
) -> Value | Default:
    if name not in given:
        return default
    raw = given[name]
    # A token must not reach a log or a page through its own error message.
    shown = "a value that cannot be used" if name == "HF_TOKEN" else repr(raw)
    # TOML has its own booleans and numbers; a table or a list is a mistake for every setting.
    if not isinstance(raw, str | bool | int | float):
        raise SettingsError(f"{name} is {shown}; expected one value. Correct it or remove it.")
    try:
        return convert(str(raw).strip())
    except ValueError as problem:
        raise SettingsError(f"{name} is {shown}; expected {problem}. Correct it or remove it.") from None


def _read_secrets(file: Path) -> dict[str, object]:
    """Return the top-level keys of the file in upper case; empty when there is no file."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise SettingsError(f"{file} cannot be read: {problem}. Correct it or remove it.") from problem
    secrets = {key.upper(): value for key, value in content.items()}
    unknown = sorted(key for key in secrets if key.startswith("LESIONLENS_") and key not in NAMES)
    if unknown:
        raise SettingsError(f"{file} sets {', '.join(unknown)}; the settings are {', '.join(NAMES)}.")
    return secrets


def _text(text: str) -> str:
    if not text:
        raise ValueError("some text")
    return text


def _folder(text: str) -> Path:
    if not text:
        raise ValueError("a folder")
    return Path(text).expanduser().absolute()


def _switch(text: str) -> bool:
    if text.lower() not in YES + NO:
        raise ValueError(f"one of {', '.join(YES + NO)}")
    return text.lower() in YES


def _seconds(text: str) -> float:
    expected = "a number of seconds above 0"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(expected) from None
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(expected)
    return seconds


def _megabytes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError("a whole number of megabytes, 1 or more")
    return int(text)
