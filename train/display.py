"""Progress on a terminal: one bar with the time left, and lines that stay."""

import sys
from collections.abc import Callable

from tqdm import tqdm


class TerminalDisplay:
    """Shows a bar where there is a terminal, and plain lines where output goes to a file.

    quiet: show nothing, as every process but the first does under torchrun.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None
        self._log: Callable[[str], None] | None = None
        self._beat: Callable[[], None] | None = None

    def log_to(self, log: Callable[[str], None]) -> None:
        """Give every line to `log` too, a run's log.txt for instance."""
        self._log = log

    def beat_with(self, beat: Callable[[], None] | None) -> None:
        """Call `beat` at every step, of whatever; None ends that."""
        self._beat = beat

    def step(self, done: int, total: int, text: str) -> None:
        """Show that `done` of `total` are done, with the time left."""
        if self._beat is not None:
            self._beat()
        if self._quiet:
            return
        if self._bar is not None and (self._bar.total != total or done < self._bar.n):
            self.close()  # what it counted ended early
        if self._bar is None:
            # Redrawn at most twice a second; in a log file, where each redraw is a line, every ten seconds.
            interval = 0.5 if sys.stderr.isatty() else 10.0
            self._bar = tqdm(total=total, initial=done, mininterval=interval, dynamic_ncols=True)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def line(self, text: str) -> None:
        """Show one line that stays above the bar."""
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)
        if self._log is not None:
            self._log(text)

    def counting(self, text: str) -> "Counter":
        """Return a callable (done, total) that shows a task called `text`."""
        return Counter(self, text)

    def close(self) -> None:
        """Finish the bar, so that the next step starts a new one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Counter:
    """Shows (done, total) of one named task."""

    def __init__(self, display: TerminalDisplay, text: str) -> None:
        self._display = display
        self._text = text

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        self._display.step(done, total, self._text)
