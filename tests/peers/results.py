"""What was measured: one JSON file that grows row by row, and the table of it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path

import rows
import tools


class File:
    """The results on disk. A row is added when all its rounds are done, so a run that was stopped goes on at the next row."""

    def __init__(self, path: Path, keys: int, binary: Path):
        self._path, self._keys = path, keys
        self._build = hashlib.sha256(binary.read_bytes()).hexdigest()[:16]
        self._held = json.loads(path.read_text()) if path.exists() else {"machine": machine(), "rows": []}

    def has(self, row: str, rival: str) -> bool:
        return any(held["row"] in (row, f"{row}-p50") and held["rival"]["name"] == rival and held["keys"] == self._keys
                   and held["build"] == self._build for held in self._held["rows"])

    def add(self, found: rows.Measured, rival) -> None:
        ratios = [ours / other if found.more_is_better else other / ours for ours, other in zip(found.ours, found.rival)]
        row = {
            "row": found.row, "keys": self._keys, "build": self._build, "commit": commit(), "load": os.getloadavg()[0],
            "more_is_better": found.more_is_better,
            "ours": {**_spread(found.ours), "unit": found.unit, "settled_s": _median(found.ours_settled_s)},
            "rival": {"name": rival.name, **_spread(found.rival), "unit": found.unit, "version": rival.version(),
                      "settings": rival.settings, "settled_s": _median(found.rival_settled_s)},
            # Above one, ours is ahead.
            "ratio": _spread(ratios), "rounds": [list(pair) for pair in zip(found.ours, found.rival)],
        }
        kept = [held for held in self._held["rows"]
                if (held["row"], held["rival"]["name"], held["keys"]) != (found.row, rival.name, self._keys)]
        self._held["rows"] = [*kept, row]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(self._path.name + ".new")
        unfinished.write_text(json.dumps(self._held, indent=1))
        os.replace(unfinished, self._path)

    def table(self) -> str:
        lines = ["| row | keys | ours | rival | | ahead (median, min to max) |", "| --- | --- | --- | --- | --- | --- |"]
        for row in self._held["rows"]:
            ours, rival, ratio = row["ours"], row["rival"], row["ratio"]
            lines.append(f"| {row['row']} | {row['keys']:,} | {_told(ours)} {ours['unit']} | {rival['name']} | {_told(rival)} | "
                         f"{ratio['median']:.2f} × ({ratio['min']:.2f} to {ratio['max']:.2f}) |")
        return "\n".join(lines)


def machine() -> dict:
    """Where this ran, without its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cores": os.cpu_count(), "processor": model[0] if model else platform.machine(), "memory_gib": round(pages / 2**30),
            "kernel": platform.release(), "python": platform.python_version()}


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=tools.ROOT)
    return done.stdout.strip()


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def _told(side: dict) -> str:
    digits = 2 if side["median"] < 100 else 0
    return f"{side['median']:,.{digits}f} ({side['min']:,.{digits}f} to {side['max']:,.{digits}f})"
