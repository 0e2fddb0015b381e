"""What every side of a comparison can do: prepare its keys once, start on a copy of them, be loaded, stop."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import http_load
import program
import tools

# Everything that lies on disk for a comparison; the log of ours is on the same disk as the rivals' files.
PLACE = tools.TARGET / "peers"

# The order of keys is drawn, the same for everybody and in every run.
SEED = 20_261_130

# At most so many writes a turn, by callers: a turn takes about a second or more of whoever is fastest.
WRITES = {1: 2_000, 64: 30_000}
# Nor longer than this: the slowest write some hundred keys a second.
WRITE_LIMIT_S = 8
# A turn of revoking takes at most this part of all keys, so that each turn has keys of its own.
REVOKE_SHARE = 10


def writes(callers: int, keys: int) -> int:
    """How many are counted."""
    return min(WRITES[callers], keys // REVOKE_SHARE)


def needed(callers: int, keys: int) -> int:
    """How many have to be ready: when the last counted one is answered, each other caller has one more on its way; and wrk looks
    at the first without sending it."""
    return writes(callers, keys) + callers + 1


class Contestant:
    """One side. `keys` are there when it is loaded; `folder` is its own, and gone after it."""

    name = ""
    # What its own documentation recommends for production, or what it does unless told, with the source of each.
    settings: list[str] = []

    def __init__(self, keys: int, run: Path):
        self.keys = keys
        self.prepared = PLACE / f"{self.name}-{keys}"
        self.folder = run / self.name
        self.turns = 0

    # What a contestant brings: its version, `launch` on `self.data`, `halt`, `sow` (keys into a running server, lines into
    # `self.key_file`), its processes `pids`, and one method for each row.

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def key_file(self) -> Path:
        return self.folder / "keys"

    def start(self) -> None:
        """Starts on a copy of the prepared keys, made now if they are not there yet."""
        if not self.prepared.is_dir():
            self._prepare()
        self._begin(self.prepared)
        lines = self.key_file.read_text().splitlines()
        random.Random(SEED).shuffle(lines)
        self.lines = lines
        self.launch()

    def start_empty(self) -> None:
        """Starts without any keys."""
        self._begin(None)
        self.lines = []
        self.launch()

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, prepared: Path | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if prepared:
            # Ownership stays: PostgreSQL opens only its own account's files.
            shutil.copytree(prepared, self.folder)
            _copy_owners(prepared, self.folder)
        else:
            self.folder.mkdir(parents=True)
            self.data.mkdir()

    def _prepare(self) -> None:
        self._begin(None)
        self.launch()
        self.key_file.touch()
        self.sow()
        program.wait_quiet(self.pids)
        self.halt()
        (self.folder / "requests").unlink(missing_ok=True)
        self.folder.rename(self.prepared)

    def slice(self, count: int) -> list[str]:
        """Keys that no turn had before."""
        begin, self.turns = self.turns, self.turns + count
        if self.turns > len(self.lines):
            raise http_load.Refused(f"{self.name}: all {len(self.lines)} keys are used up; take more keys or fewer rounds")
        return self.lines[begin:self.turns]


def _copy_owners(source: Path, target: Path) -> None:
    for path in [source, *source.rglob("*")]:
        there = target / path.relative_to(source)
        status = path.stat()
        if there.stat().st_uid != status.st_uid:
            os.chown(there, status.st_uid, status.st_gid)


class HttpContestant(Contestant):
    """A side that is loaded through wrk."""

    port = 0

    def sow_over_http(self, requests: list[bytes], pattern: str) -> None:
        """Makes the keys through the same call as the row `issue`, and keeps what the answers tell of them."""
        http_load.wrk(self.port, requests, 64, self.folder, seconds=3600, limit=self.keys, pattern=pattern,
                      captured=self.key_file)

    def read_load(self, requests: list[bytes], connections: int, seconds: int, marker: bytes) -> float:
        size = http_load.expect(self.port, requests[0], marker)
        return http_load.wrk(self.port, requests, connections, self.folder, seconds=seconds, size=size).rate

    def write_load(self, requests: list[bytes], callers: int) -> float:
        limit = writes(callers, self.keys)
        load = http_load.wrk(self.port, requests, callers, self.folder, seconds=WRITE_LIMIT_S, limit=limit)
        return load.rate
