"""Writes plain data as TOML; Python itself only reads it."""

import json
from typing import Any


def to_toml(values: dict[str, Any]) -> str:
    """Return TOML for texts, numbers, switches, lists of these, and tables of these in tables."""
    return "\n".join(_lines(values, "")).strip() + "\n"


def _lines(values: dict[str, Any], above: str) -> list[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in values.items():
        if isinstance(value, dict) and value:
            name = f"{above}{_key(key)}"
            lines += ["", f"[{name}]", *_lines(value, f"{name}.")]
    return lines


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:  # noqa: ANN401 - whatever TOML knows
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's texts, numbers and switches are TOML's too; a DEL is the one character that is not.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
