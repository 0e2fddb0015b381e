"""Ours: `rescind serve` with an embedded log, which syncs before it acknowledges."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import contestant
import http_load
import program
import refusal

TENANT = "acme"
BATCH = 16
OWNER_HAS = 10


class Rescind(contestant.HttpContestant):
    name = "rescind"
    settings = ["as it is: embedded log, synced before each acknowledgement; no option but folder and port"]
    binary = Path()

    def version(self) -> str:
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def launch(self) -> None:
        command = [self.binary, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--log-level", "warn"]
        self.server = program.Program(command, self.folder / "out")
        url = self.server.wait_for("listening", lambda: _after(self.server.said(), "listening on "))
        self.port = int(url.rsplit(":", 1)[1])
        self.server.wait_for("ready", lambda: http_load.ask(self.port, http_load.request("GET", "/readyz", {}))[0] == 200)
        credential = (self.data / "operator.key").read_text().strip()
        self.headers = {"Authorization": f"Bearer {credential}"}

    def halt(self) -> None:
        self.server.stop()

    @property
    def pids(self) -> list[int]:
        return [self.server.pid]

    def sow(self) -> None:
        http_load.expect(self.port, self._post("/v1/tenants", {"tenant": TENANT}), TENANT.encode())
        if self.keys:
            self.sow_over_http(self._issues(self.keys), '"key":"([^"]+)"')

    def verify_http(self, connections: int, seconds: int) -> float:
        requests = [self._post("/v1/verify", {"key": key}) for key in self.lines[:http_load.MAX_REQUESTS]]
        return self.read_load(requests, connections, seconds, b'"verdict":"valid"')

    def verify_batch(self, connections: int, seconds: int) -> float:
        keys = self.lines[:http_load.MAX_REQUESTS]
        groups = [keys[at:at + BATCH] for at in range(0, len(keys) - BATCH + 1, BATCH)]
        requests = [self._post("/v1/verify/batch", {"requests": [{"key": key} for key in group]}) for group in groups]
        return BATCH * self.read_load(requests, connections, seconds, b'"verdict":"valid"')

    def issue(self, callers: int) -> float:
        return self.write_load(self._issues(contestant.needed(callers, self.keys)), callers)

    def revoke(self, callers: int) -> float:
        keys = self.slice(contestant.needed(callers, self.keys))
        return self.write_load([self._revoke(_key_id(key)) for key in keys], callers)

    def refusals(self, count: int) -> list[float]:
        """Seconds from sending each revocation until a subscriber of the feed has dropped the key."""
        keys = [_key_id(key) for key in self.slice(count)]
        feed = http_load.request("GET", f"/v1/feed?tenant={TENANT}", self.headers)
        with program.connect(self.port) as admin, program.connect(self.port) as hearing:
            hearing.sendall(feed)
            while b"hello" not in hearing.recv(65536):
                pass
            commands = {key: self._revoke(key) for key in keys}
            return refusal.measure(keys, _Admin(admin, commands), _Feed(hearing))

    def touch_all(self) -> None:
        pass  # All of it is in memory.

    def _issues(self, count: int) -> list[bytes]:
        return [self._post(f"/v1/tenants/{TENANT}/keys", {
            "name": f"campaign {n}", "owner": f"sender-{n // OWNER_HAS}", "scopes": ["campaigns:send"],
        }) for n in range(min(count, http_load.MAX_REQUESTS))]

    def _revoke(self, key_id: str) -> bytes:
        return self._post(f"/v1/tenants/{TENANT}/keys/{key_id}/revoke", {"reason": "compromised"})

    def _post(self, path: str, body: object) -> bytes:
        return http_load.request("POST", path, self.headers, body)


class _Admin:
    """Sends revocations over one connection and reads the answers."""

    def __init__(self, connection, commands: dict[str, bytes]):
        self.socket, self._commands, self._left = connection, commands, bytearray()

    def revoke(self, key: str) -> None:
        self.socket.sendall(self._commands[key])

    def acknowledged(self) -> bool:
        self._left += self.socket.recv(65536)
        answer = http_load.split_answer(self._left)
        if answer and answer[0] != 200:
            raise http_load.Refused(f"revoking answered {answer[0]}: {answer[1][:300]!r}")
        return answer is not None


class _Feed:
    """Hears server-sent events and answers whose keys they end."""

    def __init__(self, connection):
        self.socket, self._left = connection, b""

    def heard(self) -> list[str]:
        # Chunk sizes stand between events on lines of their own, so they end no field that begins with `data:`.
        self._left += self.socket.recv(65536)
        *lines, self._left = self._left.split(b"\n")
        notices = [json.loads(line[5:]) for line in lines if line.startswith(b"data:") and b"key.revoked" in line]
        return [notice["subject"].split("/")[1] for notice in notices]


def _key_id(key: str) -> str:
    return key.rsplit("_", 1)[1][:26]


def _after(text: str, mark: str) -> str:
    return text.partition(mark)[2].split()[0] if mark in text and "\n" in text.partition(mark)[2] else ""
