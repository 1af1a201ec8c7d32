"""The trainer's alarms in plain words: the ones of now, and those of before folded away."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from core.runs.alarms import heartbeat_late
from core.runs.folder import Status
from core.runs.following import Telling
from pages.ui import notices

RECENT_EPOCHS: Final = 1
"""An alarm is of now until so many epochs after it."""


def draw(telling: Telling, status: Status) -> None:
    """Draw what the trainer warns of, and its silence; nothing when all is well."""
    if (late := heartbeat_late(status)) is not None:
        st.warning(notices.plain(late), icon=":material/heart_broken:")
    newest: dict[str, Mapping[str, Any]] = {}
    for alarm in telling.alarms:
        newest[str(alarm.get("name"))] = alarm
    now = [alarm for alarm in newest.values() if status.epoch - _epoch(alarm) <= RECENT_EPOCHS]
    for alarm in now:
        draw_one = st.error if alarm.get("severity") == "error" else st.warning
        draw_one(
            f"{notices.plain(str(alarm.get('words', '')))} (epoch {_epoch(alarm)})",
            icon=":material/notification_important:",
        )
    before = [alarm for alarm in telling.alarms if alarm not in now]
    if before:
        with st.expander(f"Earlier alarms ({len(before)})", icon=":material/history:"):
            for alarm in before[-20:]:
                st.markdown(f"Epoch {_epoch(alarm)}: {notices.plain(str(alarm.get('words', '')))}")


def _epoch(alarm: Mapping[str, Any]) -> int:
    found = alarm.get("epoch")
    return found if isinstance(found, int) else 0
