"""The rows: what is measured of both sides, in turns."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import program

# How many revocations a turn has whose refusals are timed.
REFUSALS = 300
REFUSAL_WARM_UP = 20
WARM_UP_S = 1


@dataclass(frozen=True)
class Turns:
    rounds: int
    seconds: int


@dataclass
class Measured:
    """One row of both sides, round by round."""

    row: str
    unit: str
    more_is_better: bool
    ours: list[float] = field(default_factory=list)
    rival: list[float] = field(default_factory=list)
    # How long each side went on working after its turns: views that follow, vacuums.
    ours_settled_s: list[float] = field(default_factory=list)
    rival_settled_s: list[float] = field(default_factory=list)


class Row:
    """A row whose sides are started once, with all keys, and take turns."""

    def __init__(self, name: str, unit: str, method: str, *values):
        self.name, self._unit, self._method, self._values = name, unit, method, values

    def fits(self, kind: type) -> bool:
        return hasattr(kind, self._method)

    def measure(self, ours, rival, turns: Turns) -> list[Measured]:
        with _Running(ours), _Running(rival):
            return self._rounds(ours, rival, turns)

    def _rounds(self, ours, rival, turns: Turns) -> list[Measured]:
        found = Measured(self.name, self._unit, more_is_better=True)
        for side in (ours, rival):
            self._warm_up(side)
            program.wait_quiet(side.pids)
        for turn in range(turns.rounds):
            sides = [(ours, found.ours, found.ours_settled_s), (rival, found.rival, found.rival_settled_s)]
            # Who begins changes, so that neither always follows the other.
            for side, values, settled in sides if turn % 2 == 0 else sides[::-1]:
                values.append(self._take(side, turns))
                settled.append(program.wait_quiet(side.pids))
            _tell(found)
        return [found]

    def _warm_up(self, side) -> None:
        raise NotImplementedError

    def _take(self, side, turns: Turns) -> float:
        raise NotImplementedError


class ReadRow(Row):
    """Verifications a second."""

    def _warm_up(self, side) -> None:
        getattr(side, self._method)(*self._values, WARM_UP_S)

    def _take(self, side, turns: Turns) -> float:
        return getattr(side, self._method)(*self._values, turns.seconds)


class WriteRow(Row):
    """Durable writes a second."""

    def _warm_up(self, side) -> None:
        side.verify_http(1, WARM_UP_S)

    def _take(self, side, turns: Turns) -> float:
        return getattr(side, self._method)(*self._values)


class RefusalRow(Row):
    """From the command to a subscriber's refusal: the median and the 99th of a hundred of each turn."""

    def _rounds(self, ours, rival, turns: Turns) -> list[Measured]:
        shares = {"p50": 0.5, "p99": 0.99}
        found = {name: Measured(f"{self.name}-{name}", self._unit, more_is_better=False) for name in shares}
        for side in (ours, rival):
            side.refusals(REFUSAL_WARM_UP)
        for turn in range(turns.rounds):
            for side in (ours, rival) if turn % 2 == 0 else (rival, ours):
                program.wait_quiet(side.pids)
                took = sorted(side.refusals(REFUSALS))
                for name, share in shares.items():
                    values = found[name].ours if side is ours else found[name].rival
                    values.append(took[round((len(took) - 1) * share)] * 1e3)
            for measured in found.values():
                _tell(measured)
        return list(found.values())


class MemoryRow(Row):
    """Resident memory with all keys at hand, less that without any, each after a start of its own. Who holds keys on disk
    until they are asked for is asked for each once."""

    def fits(self, kind: type) -> bool:
        return hasattr(kind, "touch_all")

    def measure(self, ours, rival, turns: Turns) -> list[Measured]:
        found = Measured(self.name, self._unit, more_is_better=False)
        for _ in range(turns.rounds):
            for side, values in ((ours, found.ours), (rival, found.rival)):
                more = _resident(side.start, side) - _resident(side.start_empty, side)
                if more <= 0:
                    raise program.Failed(f"{side.name} holds no more memory with {side.keys} keys than without: take more keys")
                values.append(more / side.keys)
            _tell(found)
        return [found]


def _resident(start, side) -> float:
    start()
    try:
        side.touch_all()
        program.wait_quiet(side.pids)
        return program.resident_bytes(side.pids)
    finally:
        side.stop()


class _Running:
    """A side that is stopped however the row ends."""

    def __init__(self, side):
        self._side = side

    def __enter__(self):
        self._side.start()
        program.wait_quiet(self._side.pids)

    def __exit__(self, *_):
        self._side.stop()


def prepare(*sides) -> None:
    """Makes the keys of each side, if they are not there."""
    for side in sides:
        with _Running(side):
            pass


def named(row: Row, names: list[str]) -> bool:
    return not names or any(row.name == name or row.name.startswith(f"{name}-") for name in names)


def _tell(found: Measured) -> None:
    ours, rival = found.ours[-1], found.rival[-1]
    print(f"  {found.row} round {len(found.ours)}: {ours:,.2f} against {rival:,.2f} {found.unit}", file=sys.stderr, flush=True)


ROWS: list[Row] = [
    ReadRow("verify-http-1", "keys/s", "verify_http", 1),
    ReadRow("verify-http-64", "keys/s", "verify_http", 64),
    ReadRow("verify-batch", "keys/s", "verify_batch", 64),
    WriteRow("issue-1", "writes/s", "issue", 1),
    WriteRow("issue-64", "writes/s", "issue", 64),
    WriteRow("revoke-1", "writes/s", "revoke", 1),
    WriteRow("revoke-64", "writes/s", "revoke", 64),
    RefusalRow("revoke-refused", "ms", "refusals"),
    MemoryRow("memory", "bytes/key", "touch_all"),
]
