"""The one load generator for everybody who speaks HTTP: wrk, one thread, with prepared requests in turn."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import program
import tools

# Lua keeps all of them in memory; with more keys than this the load goes through a random part of them.
MAX_REQUESTS = 200_000
# The size of answers may differ by so much from the one that was looked at: positions and times grow by digits.
SIZE_TOLERANCE = 0.15
MAX_ANSWER = 1 << 20
# wrk gives up what is under way when its time is up; reading the requests comes before that.
ENDS_WITHIN_S = 60


class Refused(Exception):
    """The server answered something else than the load asks for: what would be measured is not what the row says."""


@dataclass(frozen=True)
class Load:
    """What a load came to."""

    operations: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.operations / self.seconds


def request(method: str, path: str, headers: dict[str, str], body: object = None) -> bytes:
    """A whole request of HTTP/1.1."""
    payload = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def ask(port: int, raw: bytes) -> tuple[int, bytes, int]:
    """Sends one request; answers status, body and the size of the whole answer."""
    with program.connect(port) as connection:
        connection.sendall(raw)
        return read_answer(connection, bytearray())


def read_answer(connection, left: bytearray) -> tuple[int, bytes, int]:
    """Reads one answer; what comes after it stays in `left`."""
    while (answer := split_answer(left)) is None:
        piece = connection.recv(65536)
        if not piece or len(left) > MAX_ANSWER:
            raise Refused(f"an answer that does not end: {bytes(left[:200])!r}")
        left += piece
    return answer


def split_answer(left: bytearray) -> tuple[int, bytes, int] | None:
    """Takes one whole answer from the front of what came, if it is there."""
    end = left.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(left[:end]).decode("latin-1")
    status = int(head.split(" ", 2)[1])
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    begin = end + 4
    if fields.get("transfer-encoding") == "chunked":
        done = left.find(b"0\r\n\r\n", begin)
        if done < 0:
            return None
        size, body = done + 5, bytes(left[begin:done])
    else:
        size = begin + int(fields.get("content-length", "0"))
        if len(left) < size:
            return None
        body = bytes(left[begin:size])
    del left[:size]
    return status, body, size


def expect(port: int, raw: bytes, marker: bytes) -> int:
    """Sends one request and holds the answer to what the load is about; answers its size."""
    status, body, size = ask(port, raw)
    if not 200 <= status < 300 or marker not in body:
        raise Refused(f"answered {status} without {marker!r}: {body[:300]!r}")
    return size


def wrk(port: int, requests: list[bytes], connections: int, folder: Path, *, seconds: int, limit: int = 0,
        pattern: str = "", captured: Path | None = None, size: int = 0) -> Load:
    """Loads for so long, or until so many answers. Any failed request fails the whole load."""
    packages = tools.debian_packages("wrk", ["wrk"])
    file = folder / "requests"
    with open(file, "wb") as out:
        for raw in requests[:MAX_REQUESTS]:
            out.write(b"%d\n" % len(raw) + raw)
    command = [tools.program(packages, "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s",
               Path(__file__).with_name("load.lua"), f"http://127.0.0.1:{port}/", "--", file, str(limit)]
    if limit:
        command.append(pattern or "()")
    if captured:
        command.append(captured)
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds + ENDS_WITHIN_S,
                              env=tools.environment(packages))
    except subprocess.TimeoutExpired as error:
        raise Refused(f"wrk did not end {ENDS_WITHIN_S} s after its time was up") from error
    told = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not told:
        raise Refused(f"wrk ended with {done.returncode}: {(done.stderr + done.stdout)[-800:]}")
    result = json.loads(told[-1])
    if result["failures"] or result["operations"] == 0:
        raise Refused(f"{result['failures']} of {result['operations']} requests failed")
    mean = result["bytes"] / result["operations"]
    if size and abs(mean - size) > SIZE_TOLERANCE * size:
        raise Refused(f"answers of {mean:.0f} bytes, where a good one has {size}: they say something else")
    return Load(result["operations"], result["seconds"])
