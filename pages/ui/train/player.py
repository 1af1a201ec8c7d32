"""Replay: a run that has ended, played again at 1 to 60 times its pace, by the code that shows a live one."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import streamlit as st

from core.runs.folder import Status
from core.runs.following import Telling
from core.runs.library import Summary
from core.runs.replay import SPEEDS, Replay
from core.runs.story import clock
from pages.ui.train import sources

FASTEST: Final = SPEEDS[-1]

_STATE: Final = "train_player"
_KEY: Final = "train_player_bar"
_MOVED: Final = "train_player_moved"
_ASKED: Final = "train_player_asked"
_HERE: Final = Path(__file__)
_BAR: Final = st.components.v2.component(
    "lesionlens_player",
    html='<div class="player" role="group" aria-label="Replay"></div>\n',
    css=_HERE.with_name("player.css").read_text(encoding="utf-8"),
    js=_HERE.with_name("player.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Player:
    """Where a replay stands, for one person.

    position_s: seconds of the run's own time, where it was when `since` began.
    since: when it began to play, on the monotonic clock; None while it stands.
    used: whether this person has played it or chosen a moment.
    """

    run: str
    length_s: float
    position_s: float
    speed: int = FASTEST
    since: float | None = None
    used: bool = False

    def now(self) -> float:
        """Return the seconds of the run's own time that have been played."""
        played = 0.0 if self.since is None else (time.monotonic() - self.since) * self.speed
        return min(self.length_s, self.position_s + played)

    @property
    def is_playing(self) -> bool:
        """Whether it moves."""
        return self.since is not None and self.now() < self.length_s

    def told_to(
        self, *, play: bool | None = None, speed: int | None = None, seek_s: float | None = None
    ) -> "Player":
        """Return the player after a person has used it; what is not said stays."""
        position = self.now() if seek_s is None else min(max(0.0, seek_s), self.length_s)
        plays = self.is_playing if play is None else play
        if plays and position >= self.length_s:
            position = 0.0 if seek_s is None else position
        return replace(
            self,
            position_s=position,
            speed=speed or self.speed,
            since=time.monotonic() if plays else None,
            used=True,
        )


def replay_of(run: Summary) -> Replay | None:
    """Return the replay of a run that has ended and told something; None for others."""
    if run.is_live or run.status is None:
        return None
    replay = Replay(sources.told(run), replace(run.status, state=run.state))
    return replay if replay.length_s > 0 else None


def current(run: Summary, replay: Replay) -> Player:
    """Return this person's player for a run: at its end, until somebody plays it."""
    player = st.session_state.get(_STATE)
    if not isinstance(player, Player) or player.run != run.reference or player.length_s != replay.length_s:
        player = Player(run.reference, replay.length_s, replay.length_s)
        st.session_state[_STATE] = player
    return player


def ask() -> None:
    """Have the run that is looked at played from its beginning. For callbacks.

    It names no run: while the page goes from one run to another, a press on the button of the one before is
    answered by the one that is on the screen then.
    """
    st.session_state[_ASKED] = True


def start_if_asked(run: Summary, replay: Replay | None) -> None:
    """Begin what was asked for; once, and only where there is something to play."""
    if st.session_state.pop(_ASKED, False) and replay is not None:
        st.session_state[_STATE] = Player(run.reference, replay.length_s, 0.0).told_to(play=True)


def look(run: Summary, replay: Replay) -> tuple[Telling, Status]:
    """Return what the run had told at the moment where its replay stands, and its status then."""
    return replay.at(current(run, replay).now())


def draw(run: Summary, replay: Replay) -> None:
    """Draw play, pace and place; a change of what moves runs the page again."""
    if st.session_state.pop(_MOVED, False):
        st.rerun()
    player = current(run, replay)
    if not player.used:
        return  # The head offers to play it.
    at = player.now()
    _BAR(
        key=_KEY,
        data={
            "playing": player.is_playing,
            "position": round(at, 1),
            "length": round(replay.length_s, 1),
            "speed": player.speed,
            "speeds": list(SPEEDS),
            "epochs": [
                {"at": round(replay.when(epoch.number), 1), "number": epoch.number}
                for epoch in replay.telling.epochs
            ],
            "words": f"{clock(at)} of {clock(replay.length_s)}",
        },
        on_told_change=lambda: _told(run, replay),
    )


def _told(run: Summary, replay: Replay) -> None:
    # What comes from a browser may be anything.
    value = st.session_state[_KEY].told
    if not isinstance(value, Mapping):
        return
    st.session_state[_MOVED] = True
    if value.get("leave") is True:
        st.session_state.pop(_STATE, None)
        return
    play, speed, seek = value.get("play"), value.get("speed"), value.get("seek")
    st.session_state[_STATE] = current(run, replay).told_to(
        play=play if isinstance(play, bool) else None,
        speed=speed if speed in SPEEDS else None,
        seek_s=float(seek) if isinstance(seek, int | float) and math.isfinite(seek) else None,
    )
