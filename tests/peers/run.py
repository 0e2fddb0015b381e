"""Ours beside what users would pick instead, in turns of one run, on one machine.

    python3 tests/peers/run.py --rivals redis,postgresql --rows verify-http,revoke --json target/peers/results.json

Each rival is installed into target/tools and runs on loopback with files of its own under target/peers. A row that the JSON
file has already, measured with as many keys by the same binary, is not measured again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

# The tree stays as it is in git.
sys.dont_write_bytecode = True

import better_auth
import contestant
import http_load
import openbao
import postgresql
import program
import redis
import refusal
import rescind
import results
import rows
import tools

RIVALS = {kind.name: kind for kind in (
    openbao.OpenBao, postgresql.PostgreSql, redis.Redis, better_auth.BetterAuthSqlite, better_auth.BetterAuthPostgresql,
)}
# Fewer say nothing about the spread.
ROUNDS = 5


def main() -> int:
    given = _arguments()
    # As after Ctrl-C: whoever is measured is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rescind.Rescind.binary = given.rescind.resolve()
    if not given.rescind.is_file():
        print(f"{given.rescind} is not there: build it with `cargo build --release --locked -p cli`", file=sys.stderr)
        return 2
    run = contestant.PLACE / f"run-{os.getpid()}"
    file = results.File(given.json, given.keys, rescind.Rescind.binary)
    failed = 0
    for name in given.rivals:
        try:
            _compare(RIVALS[name], given, run, file)
        except (tools.Missing, program.Failed, http_load.Refused, refusal.Lost, OSError) as error:
            # The other rivals can still be measured, and what is measured stands in the file.
            print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
            failed += 1
    print(file.table())
    return 1 if failed else 0


def _compare(kind: type, given: argparse.Namespace, run: Path, file: results.File) -> None:
    wanted = [row for row in rows.ROWS if rows.named(row, given.rows) and row.fits(kind)]
    wanted = [row for row in wanted if not file.has(row.name, kind.name)]
    if not wanted:
        return
    ours, rival = rescind.Rescind(given.keys, run), kind(given.keys, run)
    turns = rows.Turns(rounds=given.rounds, seconds=given.seconds)
    if given.prepare:
        rows.prepare(ours, rival)
        return
    for row in wanted:
        print(f"{row.name}: {ours.name} and {rival.name}, {given.keys} keys", file=sys.stderr, flush=True)
        for measured in row.measure(ours, rival, turns):
            file.add(measured, rival)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description="Measures Rescind beside its rivals.")
    arguments.add_argument("--rivals", type=_names(RIVALS), default=list(RIVALS), help=f"of {', '.join(RIVALS)}; all unless said")
    arguments.add_argument("--rows", type=_rows, default=[],
                           help=f"names or beginnings of {', '.join(row.name for row in rows.ROWS)}; all unless said")
    arguments.add_argument("--keys", type=int, default=100_000, help="keys on both sides")
    arguments.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each side")
    arguments.add_argument("--seconds", type=int, default=3, help="of a turn of verifying")
    arguments.add_argument("--json", type=Path, default=contestant.PLACE / "results.json",
                           help="what was measured, kept after each row")
    arguments.add_argument("--rescind", type=Path, default=tools.TARGET / "release/rescind", help="the binary")
    arguments.add_argument("--prepare", action="store_true", help="only install the rivals and prepare the keys")
    given = arguments.parse_args()
    if given.keys < 1000 or given.rounds < 1:
        arguments.error("at least 1000 keys and one round")
    return given


def _rows(text: str) -> list[str]:
    for name in (names := text.split(",")):
        if not any(rows.named(row, [name]) for row in rows.ROWS):
            raise argparse.ArgumentTypeError(f"no row is called or begins with {name}")
    return names


def _names(known):
    def parse(text: str) -> list[str]:
        for name in (names := text.split(",")):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
