"""better-auth's API keys in a Node process, on SQLite and on PostgreSQL; create, verify and disable."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import contestant
import http_load
import postgresql
import program
import tools

# The plugin pins the versions of the packages beside it: left to itself npm takes newer ones and then refuses them.
PACKAGES = ["@better-auth/api-key@1.7.5", "better-auth@1.7.5", "@better-auth/core@1.7.5", "@better-auth/utils@0.4.2",
            "better-call@1.4.0", "better-sqlite3@12.9.0", "pg@8.23.1"]


class BetterAuth(contestant.HttpContestant):
    store = ""
    settings = [
        "its limit of ten verifications a key and day switched off; else as it is (better-auth.com/docs/plugins/api-key)",
        "one Node process, since that is what its documentation shows; create, verify and disable (enabled: false) are its calls "
        "for servers, without a session to check",
    ]

    def version(self) -> str:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return f"{PACKAGES[0]} on Node {node}"

    def place(self) -> str:
        raise NotImplementedError

    def launch(self) -> None:
        packages = tools.node_packages("better-auth", PACKAGES)
        script = Path(__file__).with_name("better_auth.mjs")
        environment = {**os.environ, "NODE_ENV": "production"}
        command = ["node", script, packages, self.store, self.place()]
        self.server = program.Program(command, self.folder / "out", environment)
        said = self.server.wait_for("listening", lambda: [line for line in self.server.said().splitlines()
                                                         if line.startswith("listening on ")])
        self.port = int(said[0].split()[2])

    def halt(self) -> None:
        self.server.stop()

    @property
    def pids(self) -> list[int]:
        return [self.server.pid]

    def sow(self) -> None:
        self._synchronous("NORMAL")
        if self.keys:
            self.sow_over_http(self._issues(self.keys), '"key":"([^"]+)","id":"([^"]+)"')

    def verify_http(self, connections: int, seconds: int) -> float:
        # Each verification writes when the key was used; nobody would sync for that.
        self._synchronous("NORMAL")
        requests = [self._post("/verify", {"key": line.split()[0]}) for line in self.lines[:http_load.MAX_REQUESTS]]
        return self.read_load(requests, connections, seconds, b'"valid":true')

    def issue(self, callers: int) -> float:
        self._synchronous("FULL")
        return self.write_load(self._issues(contestant.needed(callers, self.keys)), callers)

    def revoke(self, callers: int) -> float:
        self._synchronous("FULL")
        lines = self.slice(contestant.needed(callers, self.keys))
        return self.write_load([self._post("/revoke", {"id": line.split()[1]}) for line in lines], callers)

    def _synchronous(self, level: str) -> None:
        http_load.expect(self.port, self._post("/synchronous", {"level": level}), level.encode())

    def _issues(self, count: int) -> list[bytes]:
        return [self._post("/issue", {"name": f"campaign {n}"}) for n in range(min(count, http_load.MAX_REQUESTS))]

    def _post(self, path: str, body: object) -> bytes:
        return http_load.request("POST", path, {}, body)


class BetterAuthSqlite(BetterAuth):
    name = "better-auth-sqlite"
    store = "sqlite"
    settings = [*BetterAuth.settings, "journal_mode WAL (better-sqlite3, docs/performance.md); synchronous FULL for the rows of "
                "durable writes, NORMAL for verifying, where each call writes when the key was used"]

    def place(self) -> str:
        return str(self.data / "keys.sqlite")


class BetterAuthPostgresql(BetterAuth):
    name = "better-auth-postgresql"
    store = "postgresql"
    settings = [*BetterAuth.settings, "PostgreSQL as in the rows of its own; pg's pool with its ten connections; "
                "synchronous_commit on for the rows of durable writes, off for verifying, where each call writes twice"]

    def __init__(self, keys: int, run: Path):
        super().__init__(keys, run)
        self.database = postgresql.PostgreSql(keys, run)

    def launch(self) -> None:
        self.database.folder = self.folder
        self.database.launch()
        try:
            super().launch()
        except Exception:
            self.database.halt()
            raise

    def halt(self) -> None:
        super().halt()
        self.database.halt()

    def _synchronous(self, level: str) -> None:
        self.database.set("synchronous_commit", "on" if level == "FULL" else "off")

    def place(self) -> str:
        return f"postgresql://rescind@127.0.0.1:{self.database.port}/postgres"

    @property
    def pids(self) -> list[int]:
        return [*super().pids, *self.database.pids]
