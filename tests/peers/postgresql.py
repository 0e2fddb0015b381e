"""PostgreSQL: the table that a team would write for its keys, with an audit row and NOTIFY for each revocation."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import contestant
import http_load
import program
import refusal
import tools

PSYCOPG = "3.3.9"
# pgbench's time begins before it connects, its rate after that.
CONNECTS_WITHIN_S = 1

SCHEMA = """
CREATE TABLE keys (
    id bigint PRIMARY KEY, digest bytea NOT NULL, tenant text NOT NULL, name text, owner text NOT NULL, scopes text[] NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz, revoked_at timestamptz, reason text
);
CREATE INDEX keys_digest ON keys USING hash (digest);
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), key_id bigint NOT NULL,
    actor text NOT NULL, what text NOT NULL, reason text
);
CREATE SEQUENCE next_key START 1000000000;
"""
# A key as long as ours. pgbench can neither draw texts nor digest them, so the server makes both from a number; and it takes
# whatever follows a colon for a variable, so a scope's colon is `chr(58)`.
DIGEST = "sha256(convert_to('rsk_live_' || lpad(({})::text, 64, '0'), 'UTF8'))"
ROW = f"""INSERT INTO keys (id, digest, tenant, name, owner, scopes)
    SELECT n, {DIGEST.format('n')}, 'acme', 'campaign ' || n, 'sender-' || n / 10, ARRAY['campaigns' || chr(58) || 'send']
    FROM {{}} AS n"""
VERIFY = f"""\\set id random(1, :keys)
SELECT id, tenant, owner, scopes, expires_at, revoked_at FROM keys WHERE digest = {DIGEST.format(':id::bigint')};
"""
ISSUE = f"""WITH made AS ({ROW.format("nextval('next_key')")} RETURNING id)
INSERT INTO audit (key_id, actor, what) SELECT id, 'operator', 'issued' FROM made;
"""
# One statement, so one round trip and one transaction: update, audit row, NOTIFY at its commit.
REVOKE = """WITH ended AS (UPDATE keys SET revoked_at = now(), reason = 'compromised' WHERE id = {} RETURNING id),
audited AS (INSERT INTO audit (key_id, actor, what, reason) SELECT id, 'operator', 'revoked', 'compromised' FROM ended)
SELECT pg_notify('revoked', id::text) FROM ended"""
REVOKE_ANY = "\\set id random(1, :keys)\n" + REVOKE.format(":id::bigint") + ";\n"


class PostgreSql(contestant.Contestant):
    name = "postgresql"
    settings = [
        "shared_buffers a quarter of the memory (PostgreSQL documentation 20.4.1, Resource Consumption)",
        "fsync, full_page_writes and synchronous_commit on (20.5.1, Write Ahead Log; the defaults)",
        "hash index on the SHA-256 of the key (11.2.2); revoking is one statement of update, audit row and NOTIFY",
        "loaded by pgbench, prepared statements, one thread, TCP on loopback; the digest of a key is computed in the server, "
        "since pgbench cannot; a turn revokes keys drawn at random, so one in some is revoked again, at the same work",
    ]

    def __init__(self, keys: int, run: Path):
        super().__init__(keys, run)
        self.packages = tools.debian_packages("postgresql", ["postgresql", "postgresql-client"])
        self.environment = tools.environment(self.packages)
        # PostgreSQL refuses to run as root.
        self.account = _account() if os.getuid() == 0 else None

    def version(self) -> str:
        return self._run("postgres", "--version")

    def launch(self) -> None:
        self.port = program.free_port()
        if not (self.data / "PG_VERSION").exists():
            self._own(self.data)
            self._run("initdb", "-D", self.data, "-U", "rescind", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self._own(self.folder)
        options = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 100,
            "shared_buffers": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 4 // 2**20}MB",
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [tools.program(self.packages, "postgres"), "-D", self.data, *flags]
        self.server = program.Program(command, self.data, self.environment, self.account)
        self.server.wait_for("ready", lambda: "ready to accept connections" in self.server.said())

    def halt(self) -> None:
        # Fast: ends connections and writes a checkpoint.
        self.server.stop(signal.SIGINT)

    @property
    def pids(self) -> list[int]:
        return [self.server.pid]

    def sow(self) -> None:
        self._sql(SCHEMA)
        self._sql(ROW.format(f"generate_series(1::bigint, {self.keys})"))
        self._sql("VACUUM (ANALYZE) keys")
        self._sql("CHECKPOINT")
        self.key_file.write_text("".join(f"{n}\n" for n in range(1, self.keys + 1)))

    def verify_http(self, connections: int, seconds: int) -> float:
        # pgbench does not look at what it gets.
        if self._sql(f"SELECT owner FROM keys WHERE digest = {DIGEST.format(self.keys)}") != f"sender-{self.keys // 10}":
            raise http_load.Refused("the last key is not found by its digest")
        return self._bench(VERIFY, connections, ["-T", seconds + CONNECTS_WITHIN_S])

    def issue(self, callers: int) -> float:
        return self._bench(ISSUE, callers, ["-t", max(1, contestant.writes(callers, self.keys) // callers)])

    def revoke(self, callers: int) -> float:
        return self._bench(REVOKE_ANY, callers, ["-t", max(1, contestant.writes(callers, self.keys) // callers)])

    def refusals(self, count: int) -> list[float]:
        """Seconds from sending each revocation until a session that listens has dropped the key."""
        psycopg = _psycopg()
        where = f"host=127.0.0.1 port={self.port} user=rescind dbname=postgres"
        with psycopg.connect(where, autocommit=True) as admin, psycopg.connect(where, autocommit=True) as hearing:
            hearing.execute("LISTEN revoked")
            return refusal.measure(self.slice(count), _Admin(admin.pgconn), _Listener(hearing.pgconn))

    def touch_all(self) -> None:
        # Without any keys there is no table.
        if not self.lines:
            return
        digest = DIGEST.format("n")
        self._sql(f"SELECT count(*) FROM generate_series(1::bigint, {self.keys}) AS n "
                  f"CROSS JOIN LATERAL (SELECT 1 FROM keys WHERE digest = {digest} OFFSET 0) AS found")

    def _bench(self, script: str, connections: int, how_long: list) -> float:
        file = self.folder / "script.sql"
        file.write_text(script)
        said = self._run("pgbench", "-h", "127.0.0.1", "-p", self.port, "-U", "rescind", "-n", "-M", "prepared", "-f", file,
                         "-c", connections, "-j", 1, "-D", f"keys={self.keys}", *how_long, "postgres")
        failed = re.search(r"number of failed transactions: (\d+)", said)
        rate = re.search(r"tps = ([\d.]+)", said)
        if rate is None or "aborted" in said or (failed and int(failed[1])):
            raise http_load.Refused(f"pgbench failed: {said[-800:]}")
        return float(rate[1])

    def set(self, name: str, value: str) -> None:
        """Changes a setting while it runs."""
        self._sql(f"ALTER SYSTEM SET {name} = {value}")
        self._sql("SELECT pg_reload_conf()")

    def _sql(self, text: str) -> str:
        return self._run("psql", "-h", "127.0.0.1", "-p", self.port, "-U", "rescind", "-d", "postgres", "-qAt", "-v",
                  "ON_ERROR_STOP=1", "-c", text)

    def _run(self, name: str, *words) -> str:
        command = [str(word) for word in (tools.program(self.packages, name), *words)]
        # Not in this folder, which the account may not be allowed to stand in.
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, user=self.account, cwd="/",
                              extra_groups=None if self.account is None else [])
        if done.returncode != 0:
            raise program.Failed(f"{name} ended with {done.returncode}: {(done.stderr + done.stdout)[-1500:]}")
        return done.stdout.strip() + done.stderr

    def _own(self, folder: Path) -> None:
        if self.account is not None:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, self.account, -1)
            (self.data).chmod(0o700)


class _Admin:
    """Revokes by a prepared statement, without waiting for the answer."""

    def __init__(self, connection):
        self._connection, self.socket = connection, _Socket(connection.socket)
        connection.prepare(b"revoke", REVOKE.format("$1::bigint").encode())

    def revoke(self, key: str) -> None:
        self._connection.send_query_prepared(b"revoke", [key.encode()])
        self._connection.flush()

    def acknowledged(self) -> bool:
        self._connection.consume_input()
        if self._connection.is_busy():
            return False
        while (result := self._connection.get_result()) is not None:
            if result.error_message:
                raise http_load.Refused(f"revoking failed: {result.error_message!r}")
        return True


class _Listener:
    """A session that hears NOTIFY."""

    def __init__(self, connection):
        self._connection, self.socket = connection, _Socket(connection.socket)

    def heard(self) -> list[str]:
        self._connection.consume_input()
        heard = []
        while (notice := self._connection.notifies()) is not None:
            heard.append(notice.extra.decode())
        return heard


class _Socket:
    """libpq's own socket, to wait on."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


def _psycopg():
    folder = tools.python_package("psycopg", PSYCOPG, (f"psycopg-binary=={PSYCOPG}",))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    import psycopg

    return psycopg


def _account() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise tools.Missing("PostgreSQL does not run as root, and there is neither postgres nor nobody to run it as")
