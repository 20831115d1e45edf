"""How far a run is: a live line on a terminal, otherwise a plain line now and then; on stderr."""

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from fleet.run.coordinator import Progress

EVERY_S = 10.0
"""Seconds between plain lines."""
REDRAW_S = 0.2


class Talk(AbstractContextManager["Talk"]):
    """Says things on stderr: notices always, progress unless ``quiet``.

    Parameters
    ----------
    quiet : bool
        No progress (notices still come).
    live : bool, optional
        Draw a live line; by default when stderr is a terminal.
    """

    def __init__(self, quiet: bool, live: bool | None = None) -> None:
        self._quiet = quiet
        self._live = (sys.stderr.isatty() if live is None else live) and not quiet
        self._bar: Any = None
        self._task: Any = None
        self._label, self._horizon_ns, self._requests, self._hosts = "", 1, 0, 0
        self._of_hosts = False
        self._last_s = time.monotonic()

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._live:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
            from rich.table import Column

            columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None, table_column=Column(ratio=1)),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
            )
            console = Console(stderr=True)
            self._bar = Bar(*columns, console=console, transient=True, expand=True)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        if self._bar is not None:
            self._bar.stop()

    def notice(self, line: str) -> None:
        """Say one line."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def unit(self, label: str, horizon_ns: int, requests: int, hosts: int) -> None:
        """Begin a unit."""
        self._label, self._horizon_ns = label, horizon_ns
        self._requests, self._hosts = requests, hosts
        self._last_s = time.monotonic()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(label, total=hosts, said="")
            self._of_hosts = True

    def tell(self, progress: Progress) -> None:
        """Show how far the unit is, if it is time to."""
        now_s = time.monotonic()
        if self._quiet or now_s - self._last_s < (REDRAW_S if self._live else EVERY_S):
            return
        self._last_s = now_s
        if self._bar is not None:
            self._draw(progress)
        else:
            self.notice(f"{self._label}: {self._said(progress)}")

    def _said(self, progress: Progress) -> str:
        """Say how far it is; on a live line in a few words, as 80 columns are soon full."""
        if not progress.now_ns:
            return f"{progress.hosts:,} of {self._hosts:,} hosts set up"
        times = f"{clock(progress.now_ns)} of {clock(self._horizon_ns)}"
        if self._live:
            return f"{times}, {progress.requests:,} requests"
        requests = f"{progress.requests:,} of {self._requests:,} requests"
        return f"{times}, {requests}, {progress.workloads:,} workloads"

    def _draw(self, progress: Progress) -> None:
        """Draw the bar: of hosts while they are set up, then of simulated time."""
        if progress.now_ns and self._of_hosts:
            self._bar.reset(self._task, total=self._horizon_ns)
            self._of_hosts = False
        done = progress.now_ns or progress.hosts
        self._bar.update(self._task, completed=done, said=self._said(progress))


def clock(time_ns: int) -> str:
    """Write simulated time as hours and minutes, short spans with seconds."""
    seconds = time_ns // 10**9
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h{rest // 60:02d}m" if hours else f"{rest // 60}m{rest % 60:02d}s"
