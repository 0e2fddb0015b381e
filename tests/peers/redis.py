"""Redis: a hash for each key, an audit stream, and PUBLISH for each revocation; synced before each answer."""

from __future__ import annotations

import csv
import io
import subprocess

import contestant
import http_load
import program
import refusal
import tools

PIPELINE = 16
SOW_EACH = 5_000
# Names are as long as a SHA-256 in hex. redis-benchmark draws the last twelve digits; it cannot digest keys.
PREFIX = "key:" + "d4c1b0a9e8f7061524334251607f8e9dacbbc0d1e2f3c4d5a6b7"
DRAWN = PREFIX + "__rand_int__"
FIELDS = ["standing", "tenant", "name", "owner", "scopes", "expires_at"]
SOW = """for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    redis.call('HSET', ARGV[3] .. string.format('%012d', n), 'standing', 'active', 'tenant', 'acme', 'name', 'campaign ' .. n,
        'owner', 'sender-' .. math.floor(n / 10), 'scopes', 'campaigns:send', 'expires_at', '0')
end"""
ISSUE = """redis.call('HSET', KEYS[1], 'standing', 'active', 'tenant', 'acme', 'name', 'campaign', 'owner', 'sender-7',
    'scopes', 'campaigns:send', 'expires_at', '0')
redis.call('XADD', 'audit', '*', 'key', KEYS[1], 'actor', 'operator', 'what', 'issued')"""
REVOKE = """redis.call('HSET', KEYS[1], 'standing', 'revoked', 'reason', 'compromised')
redis.call('XADD', 'audit', '*', 'key', KEYS[1], 'actor', 'operator', 'what', 'revoked', 'reason', 'compromised')
redis.call('PUBLISH', 'revoked', KEYS[1])"""
# Names of new keys are drawn from so many: as good as never twice.
NEW_KEYS = 999_999_999_999
# Long enough for a rate, short enough to cost nothing.
CALIBRATE = 20_000


class Redis(contestant.Contestant):
    name = "redis"
    settings = [
        "appendonly yes, appendfsync always (redis.io, Redis persistence: every acknowledged write is on disk)",
        "io-threads off (redis.conf: only with at least 4 cores); no snapshots, no password, no TLS: each would only slow it "
        "down",
        "one script a write, by EVALSHA: the hash, a line in an audit stream, PUBLISH (redis.io, Scripting: atomic)",
        "loaded by redis-benchmark, one thread; verifying is HMGET of standing, tenant, owner, scopes and expiry by the hex "
        "digest, and computing that digest, which a verifier has to do for each key, is left out; a turn revokes keys drawn at "
        "random, so one in some is revoked again, at the same work",
    ]

    def __init__(self, keys: int, run):
        super().__init__(keys, run)
        self.packages = tools.debian_packages("redis", ["redis-server", "redis-tools"])
        self.environment = tools.environment(self.packages)

    def version(self) -> str:
        command = [tools.program(self.packages, "redis-server"), "--version"]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=self.environment).stdout.strip()

    def launch(self) -> None:
        self.port = program.free_port()
        command = [
            tools.program(self.packages, "redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--dir", self.data,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        ]
        self.server = program.Program(command, self.folder / "out", self.environment)
        # Refused with LOADING until the file has been read.
        self.server.wait_for("ready", lambda: self._say("PING") == b"PONG")

    def halt(self) -> None:
        self.server.stop()

    @property
    def pids(self) -> list[int]:
        return [self.server.pid]

    def sow(self) -> None:
        with _Connection(self.port) as connection:
            for begin in range(0, self.keys, SOW_EACH):
                connection.say("EVAL", SOW, "0", str(begin), str(min(begin + SOW_EACH, self.keys) - 1), PREFIX)
        self.key_file.write_text("".join(f"{PREFIX}{n:012d}\n" for n in range(self.keys)))

    def verify_http(self, connections: int, seconds: int) -> float:
        return self._verify(connections, seconds, 1)

    def verify_batch(self, connections: int, seconds: int) -> float:
        return self._verify(connections, seconds, PIPELINE)

    def _verify(self, connections: int, seconds: int, pipeline: int) -> float:
        # redis-benchmark does not look at what it gets.
        if self._say("HGET", f"{PREFIX}{self.keys - 1:012d}", "standing") not in (b"active", b"revoked"):
            raise http_load.Refused("the last key is not there")
        command = ["HMGET", DRAWN, *(field for field in FIELDS if field != "name")]
        rate = self._bench(connections, CALIBRATE, self.keys, command, pipeline)
        return self._bench(connections, int(rate * seconds), self.keys, command, pipeline)

    def issue(self, callers: int) -> float:
        command = ["EVALSHA", self._load(ISSUE), "1", DRAWN]
        return self._bench(callers, contestant.writes(callers, self.keys), NEW_KEYS, command)

    def revoke(self, callers: int) -> float:
        command = ["EVALSHA", self._load(REVOKE), "1", DRAWN]
        return self._bench(callers, contestant.writes(callers, self.keys), self.keys, command)

    def refusals(self, count: int) -> list[float]:
        """Seconds from sending each revocation until a subscriber has dropped the key."""
        script = self._load(REVOKE)
        with _Connection(self.port) as admin, _Connection(self.port) as hearing:
            hearing.say("SUBSCRIBE", "revoked")
            return refusal.measure(self.slice(count), _Admin(admin, script), _Subscriber(hearing))

    def touch_all(self) -> None:
        pass  # All of it is in memory.

    def _load(self, script: str) -> str:
        return self._say("SCRIPT", "LOAD", script).decode()

    def _say(self, *words: str) -> bytes:
        with _Connection(self.port) as connection:
            return connection.say(*words)

    def _bench(self, clients: int, requests: int, keys: int, command: list[str], pipeline: int = 1) -> float:
        program_and_flags = [tools.program(self.packages, "redis-benchmark"), "-p", self.port, "-c", clients, "-n", requests,
                             "-r", keys, "-P", pipeline, "--csv"]
        before = self._errors()
        done = subprocess.run([str(word) for word in (*program_and_flags, *command)], capture_output=True, text=True,
                              env=self.environment)
        rows = [row for row in csv.reader(io.StringIO(done.stdout)) if len(row) > 1 and row[0] != "test"]
        # redis-benchmark goes on after an error and counts it as an answer: the server's own counter tells.
        if done.returncode != 0 or not rows or self._errors() != before:
            raise http_load.Refused(f"redis-benchmark: {(done.stderr + done.stdout)[-800:]}; {self._errors() - before} errors")
        return float(rows[0][1])

    def _errors(self) -> int:
        told = self._say("INFO", "stats").decode()
        return int(next(line for line in told.splitlines() if line.startswith("total_error_replies:")).split(":")[1])


class _Connection:
    """As much of Redis' protocol as is needed here."""

    def __init__(self, port: int):
        self.socket, self._left = program.connect(port), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *words: str) -> bytes:
        self.send(*words)
        while (answer := self.take()) is None:
            self.read()
        return answer

    def send(self, *words: str) -> None:
        parts = [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(parts))

    def read(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("Redis closed the connection")
        self._left += piece

    def take(self) -> bytes | None:
        """One answer, if it is there: a line, a number, a text, or the last part of a list."""
        found = _parse(self._left, 0)
        if found is None:
            return None
        answer, end = found
        self._left = self._left[end:]
        if answer.startswith(b"\0error "):
            raise ConnectionError(answer[1:].decode())
        return answer


def _parse(left: bytes, at: int) -> tuple[bytes, int] | None:
    end = left.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, end = left[at:at + 1], left[at + 1:end], end + 2
    if kind == b"$" and line != b"-1":
        stop = end + int(line)
        return (left[end:stop], stop + 2) if len(left) >= stop + 2 else None
    if kind == b"*":
        answer = b""
        for _ in range(int(line)):
            if (found := _parse(left, end)) is None:
                return None
            answer, end = found
        return answer, end
    return (b"\0error " + line if kind == b"-" else line), end


class _Admin:
    """Revokes by script, without waiting for the answer."""

    def __init__(self, connection: _Connection, script: str):
        self._connection, self._script, self.socket = connection, script, connection.socket

    def revoke(self, key: str) -> None:
        self._connection.send("EVALSHA", self._script, "1", key)

    def acknowledged(self) -> bool:
        self._connection.read()
        return self._connection.take() is not None


class _Subscriber:
    """Hears PUBLISH."""

    def __init__(self, connection: _Connection):
        self._connection, self.socket = connection, connection.socket

    def heard(self) -> list[str]:
        self._connection.read()
        heard = []
        while (message := self._connection.take()) is not None:
            heard.append(message.decode())
        return heard
