"""What a run's own events say is going wrong, in plain words with the cure.

Add an alarm by adding one function to ALARMS: it looks at a Story and returns words while something is wrong,
else None. The trainer logs each alarm once, as an event, when it begins.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.labels import BY_CODE, CODES
from core.runs.folder import LIVE_STATES, Status

Event = dict[str, Any]
Severity = Literal["warning", "error"]

KEPT_STEPS: Final = 60
"""How many of the last step events are looked at."""

WORSE_EPOCHS: Final = 3
WORSE_BY: Final = 1.01
ONE_CLASS_SHARE: Final = 0.9
WINDOW: Final = 5
DIVERGING_BY: Final = 1.2
STUCK_EPOCHS: Final = 3
STUCK_SHARE: Final = 0.98
WAITING_SHARE: Final = 0.15
FULL_DISK_MB: Final = 1024
LATE_S: Final = 30.0


@dataclass
class Story:
    """What has happened so far: every epoch event, the first step events and the last ones."""

    epochs: list[Event] = field(default_factory=list)
    first_steps: list[Event] = field(default_factory=list)
    steps: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT_STEPS))

    def add(self, event: Event) -> None:
        """Take in the next event; kinds that no alarm looks at are passed over."""
        if event.get("kind") == "epoch":
            self.epochs.append(event)
        elif event.get("kind") == "step":
            if len(self.first_steps) < WINDOW:
                self.first_steps.append(event)
            self.steps.append(event)

    def last(self, count: int) -> Sequence[Event]:
        """Return the last step events, at most `count`."""
        return list(self.steps)[-count:]


@dataclass(frozen=True)
class Alarm:
    """How an alarm is called, how bad it is, and what finds it."""

    name: str
    severity: Severity
    find: Callable[[Story], str | None]


def validation_worse(story: Story) -> str | None:
    """Validation loss above its best for some epochs in a row: what is learned now is learned by heart."""
    losses = [epoch["val_loss"] for epoch in story.epochs]
    if len(losses) <= WORSE_EPOCHS:
        return None
    best = min(losses[:-WORSE_EPOCHS])
    if min(losses[-WORSE_EPOCHS:]) <= WORSE_BY * best:
        return None
    epoch = story.epochs[losses.index(best)]["epoch"]
    return (
        f"The validation loss has been worse than in epoch {epoch} for {WORSE_EPOCHS} epochs: the network "
        "begins to learn pictures by heart. The best weights are kept; stop here, or train with more "
        "augmentation, more weight decay or fewer epochs."
    )


def one_class(story: Story) -> str | None:
    """Nearly all validation pictures get one answer."""
    if not story.epochs:
        return None
    shares = predicted_share(story.epochs[-1])
    top = max(range(len(shares)), key=shares.__getitem__, default=0)
    if not shares or shares[top] <= ONE_CLASS_SHARE:
        return None
    return (
        f"{100 * shares[top]:.0f} % of the validation pictures are answered with "
        f"{BY_CODE[CODES[top]].name.lower()}: the network says the same nearly always. If it stays so, raise "
        "balance.sampler_power or lower the learning rate."
    )


def predicted_share(epoch: Event) -> list[float]:
    """Return the share of each answer among the validation pictures, shape (7,); empty when not told."""
    if share := epoch.get("predicted_share"):
        return list(share)
    confusion = epoch.get("confusion") or []
    total = sum(map(sum, confusion))
    return [sum(column) / total for column in zip(*confusion, strict=True)] if total else []


def loss_not_finite(story: Story) -> str | None:
    """The loss is no number any more."""
    if not story.steps or story.steps[-1].get("loss") is not None:
        return None
    return (
        f"The loss is not a number at step {story.steps[-1].get('step')}: training cannot go on. Lower "
        "optimizer.learning_rate, to a third for instance, and train again."
    )


def learning_rate_high(story: Story) -> str | None:
    """The training loss is clearly above where it began."""
    recent = story.last(WINDOW)
    if len(story.steps) < 3 * WINDOW or not (first := _mean_loss(story.first_steps)):
        return None
    now = _mean_loss(recent)
    if now is None or now <= DIVERGING_BY * first:
        return None
    return (
        f"The training loss has risen from {first:.2f} to {now:.2f}: the learning rate is too high. Stop, "
        "and train again with a third of optimizer.learning_rate."
    )


def learning_rate_low(story: Story) -> str | None:
    """The training loss has hardly moved since the first epoch."""
    losses = [epoch["train_loss"] for epoch in story.epochs]
    if len(losses) < STUCK_EPOCHS or not STUCK_SHARE * losses[0] < losses[-1] <= DIVERGING_BY * losses[0]:
        return None
    return (
        f"The training loss has hardly moved in {len(losses)} epochs ({losses[0]:.2f} to {losses[-1]:.2f}): "
        "the learning rate is too low. Train again with three times optimizer.learning_rate."
    )


def loader_bound(story: Story) -> str | None:
    """Steps wait for pictures."""
    recent = story.last(WINDOW)
    shares = [step.get("wait_share", 0.0) for step in recent]
    if len(shares) < WINDOW or min(shares) <= WAITING_SHARE:
        return None
    return (
        f"The steps wait for pictures {100 * shares[-1]:.0f} % of their time. Raise workers up to the number "
        "of free processors, or close other programs."
    )


def disk_nearly_full(story: Story) -> str | None:
    """Little room is left where the run is kept."""
    free_mb = story.steps[-1].get("disk_free_mb") if story.steps else None
    if free_mb is None or free_mb >= FULL_DISK_MB:
        return None
    return (
        f"Only {free_mb:.0f} MB are free where the run is kept. Free some disk space: when it is full, "
        "training ends, and goes on from its last saved state when it is resumed."
    )


def heartbeat_late(status: Status, now: float | None = None) -> str | None:
    """Return words while a living trainer has been silent for longer than it said; onlookers ask this."""
    late_s = status.late_s(now)
    if status.observed(now) not in LIVE_STATES or late_s <= LATE_S:
        return None
    return (
        f"The trainer has said nothing for {late_s:.0f} s longer than it meant to. The machine may be busy, "
        f"asleep or out of memory; look at process {status.pid} on {status.host}."
    )


ALARMS: Final[tuple[Alarm, ...]] = (
    Alarm("validation_worse", "warning", validation_worse),
    Alarm("one_class", "warning", one_class),
    Alarm("loss_not_finite", "error", loss_not_finite),
    Alarm("learning_rate_high", "warning", learning_rate_high),
    Alarm("learning_rate_low", "warning", learning_rate_low),
    Alarm("loader_bound", "warning", loader_bound),
    Alarm("disk_nearly_full", "error", disk_nearly_full),
)


class Watchman:
    """Follows a run's events and tells each alarm once, when it begins; one that ended may begin again.

    told: the run's events before, of a run that goes on.
    """

    def __init__(self, told: Iterable[Event] = ()) -> None:
        self._story = Story()
        for event in told:
            self._story.add(event)
        self._ringing = {alarm.name for alarm in ALARMS if self._words(alarm)}

    def look(self, event: Event) -> list[Event]:
        """Take in the next event; returns the alarms that begin with it, as events to log."""
        self._story.add(event)
        begun = []
        for alarm in ALARMS:
            words = self._words(alarm)
            if words is None:
                self._ringing.discard(alarm.name)
            elif alarm.name not in self._ringing:
                self._ringing.add(alarm.name)
                begun.append(
                    {
                        "kind": "alarm",
                        "name": alarm.name,
                        "severity": alarm.severity,
                        "step": event.get("step", 0),
                        "epoch": event.get("epoch", 0),
                        "words": words,
                    }
                )
        return begun

    def _words(self, alarm: Alarm) -> str | None:
        return alarm.find(self._story)


def _mean_loss(steps: Sequence[Event]) -> float | None:
    losses = [step["loss"] for step in steps if step.get("loss") is not None]
    return sum(losses) / len(losses) if losses else None
