"""Programs that are started for a comparison: free ports, waiting, memory, quiet, and the end by process id."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

# A start on prepared data takes seconds; OpenBao reads back its leases, PostgreSQL may recover.
START_LIMIT_S = 120.0
# A graceful stop writes a snapshot or a checkpoint.
STOP_LIMIT_S = 60.0
LOOK_AGAIN_S = 0.02

# A process that takes less than this share of a core over the window has nothing left to do.
QUIET_SHARE = 0.04
QUIET_WINDOW_S = 0.25
# Views that follow a burst of writes, or a vacuum, may need so long; after that the turn goes on and the time is in the results.
QUIET_LIMIT_S = 90.0

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program did not do what it was started for; the text has its last words."""


class Program:
    """A child process whose output goes to a file. It ends with this program at the latest."""

    running: "set[Program]" = set()

    def __init__(self, command: list, folder: Path, environment: dict[str, str] | None = None, account: int | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "output"
        self.name = Path(str(command[0])).name
        with open(self.output, "wb") as output:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, cwd=folder, user=account, group=account, extra_groups=None if account is None else [],
            )
        Program.running.add(self)

    @property
    def pid(self) -> int:
        return self.child.pid

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, what: str, look):
        """What `look` answers once that is true."""
        until = time.monotonic() + START_LIMIT_S
        while True:
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended with {self.child.returncode} before {what}: {self.said()[-1500:]}")
            try:
                if found := look():
                    return found
            except OSError:
                pass  # It does not listen yet.
            if time.monotonic() > until:
                raise Failed(f"{self.name}: not {what} within {START_LIMIT_S:.0f} s: {self.said()[-1500:]}")
            time.sleep(LOOK_AGAIN_S)

    def stop(self, how: int = signal.SIGTERM) -> None:
        Program.running.discard(self)
        if self.child.poll() is not None:
            return
        self.child.send_signal(how)
        try:
            self.child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@atexit.register
def _end_all() -> None:
    for left in list(Program.running):
        left.stop()


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port: int, limit_s: float = 30.0) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=limit_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def family(pids: list[int]) -> list[int]:
    """Processes and their descendants: PostgreSQL has one for each connection."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # It ended meanwhile.
            children.setdefault(parent, []).append(int(entry))
    found, left = [], list(pids)
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def resident_bytes(pids: list[int]) -> int:
    """Memory that the family holds, shared pages counted once (proportional set size)."""
    total = 0
    for member in family(pids):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # It ended meanwhile.
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _busy_s(pids: list[int]) -> float:
    total = 0
    for member in family(pids):
        try:
            words = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(words[11]) + int(words[12])
    return total / TICKS


def wait_quiet(pids: list[int]) -> float:
    """Waits until the family has nothing left to do, so that it takes nothing from whoever is measured next. Answers how long."""
    began = time.monotonic()
    while True:
        before = _busy_s(pids)
        time.sleep(QUIET_WINDOW_S)
        if _busy_s(pids) - before <= QUIET_SHARE * QUIET_WINDOW_S or time.monotonic() - began > QUIET_LIMIT_S:
            return max(0.0, time.monotonic() - began - QUIET_WINDOW_S)
