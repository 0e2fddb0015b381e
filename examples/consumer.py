#!/usr/bin/env python3
"""Keeps a set of keys that must be refused, fed by Rescind. Copy this file into your service.

Needs Python 3.9 and nothing else for server-sent events; `pip install nats-py` for NATS.

    RESCIND_URL=http://127.0.0.1:8750 RESCIND_KEY_FILE=feed.key python3 consumer.py --feed sse --tenant acme --state deny.json
    NATS_URL=nats://127.0.0.1:4222 NATS_CREDS=mailer.creds python3 consumer.py --feed nats --tenant acme --state deny.json

The operator's key needs the scope `feed` (`acme/feed`). On NATS the consumer is called as `--name` says: one a process.

Before a key passes, ask `DenySet.look(key_id, as_of)`, where `as_of` is the position in the answer of POST /v1/verify that
you hold for that key (`as_of.position`), or 0 if you hold none:

    denied   refuse it
    stale    nothing was heard for MAX_SILENCE_S: refuse, or ask the server
    ask      your answer is older than something that this set cannot tell key by key: ask the server again
    pass     nothing speaks against the answer that you hold

A recall names keys by owner, label, scope, issuer or environment, which a key id does not tell. So a recall makes `look`
say `ask` for every answer from before it; keys issued later are not touched. The same is done for what a gap, a full set
or a closed tenant leaves unknown: in doubt the server is asked, and no key passes because a notice went missing.

Silence is noticed after MAX_SILENCE_S, but a feed that goes on is no proof that it tells all: only the guard has a lease.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.parse

MAX_DENIED = 100_000  # About 20 MB. Beyond it the oldest go, and answers from before them have to be asked for again.
MAX_SILENCE_S = 5.0  # The feed says something each second.
SAVE_EVERY_S = 1.0  # What a crash loses of the file is sent again.
MAX_LINE = 1 << 20  # Of an event stream: a notice is a few kB.
BACK_OFF_S = (0.25, 30.0)  # The first pause and the longest; each is drawn at random up to its length.
STREAM = "RESCIND_FEED"
TAKES_AWAY = ("revoked", "expired", "suspended")


def tell(what: str, **details: object) -> None:
    """One line for people and tests. Nothing that is passed in here is a secret."""
    print(what, *(f"{name}={value}" for name, value in details.items()), flush=True)


class Gap(Exception):
    """A notice is missing: the feed is taken up again after the last one that was heard."""


class Dropped(Exception):
    """Another log, or an older copy of this one: all that was held is void, and the feed begins anew."""


class DenySet:
    """The keys to refuse, and up to which position they are known. Safe to ask from any thread."""

    def __init__(self, tenant: str, path: str) -> None:
        self._lock = threading.Lock()
        self._tenant = tenant
        self._path = path
        self._saved_at = time.monotonic()
        self._heard_at = float("-inf")
        self._gap = None
        self.dirty = False
        self._begin(None)
        try:
            with open(path, encoding="utf-8") as file:
                held = json.load(file)
            if held["tenant"] != tenant:
                raise ValueError("another tenant's")
            self.log_id, self.position, self.last_notice = held["log_id"], held["position"], held["last_notice"]
            self.floor, self.denied, self.sequence = held["floor"], held["denied"], held["sequence"]
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError) as error:
            sys.exit(f"{path} cannot be read ({error}): move it away to begin anew")

    def _begin(self, log_id: "str | None") -> None:
        self.log_id = log_id
        self.position = 0  # Everything up to here has been heard.
        self.last_notice = 0  # The tenant's last notice up to there.
        self.sequence = 0  # Where that lies in the stream, on NATS.
        self.floor = 0  # Answers from before this position have to be asked for again.
        self.denied: "dict[str, int]" = {}  # Key id to the position that took it away, oldest first.

    def look(self, key_id: str, as_of: int = 0) -> str:
        """What to do about a key for which you hold the server's answer as of a position."""
        with self._lock:
            if key_id in self.denied:
                return "denied"
            if time.monotonic() - self._heard_at > MAX_SILENCE_S:
                return "stale"
            return "ask" if as_of < self.floor else "pass"

    def hear_log(self, log_id: str) -> None:
        """Drops everything if the feed is of another log."""
        if self.log_id not in (None, log_id):
            self.drop(log_id)
        self.log_id = log_id

    def drop(self, log_id: "str | None") -> None:
        """Forgets everything. Whoever holds answers of the server has to drop them as well."""
        with self._lock:
            self._begin(log_id)
            self.dirty = True
        tell("reset", log=log_id)
        raise Dropped

    def hear_notice(self, notice: dict, sequence: int = 0) -> None:
        """Applies one notice. Twice is harmless; one whose predecessor was not heard is a gap."""
        self.hear_log(notice["source"].rsplit("/", 1)[1])
        tenant, key_id = notice["subject"].split("/")
        kind, data = notice["type"].split(".")[2], notice["data"]
        with self._lock:
            self._heard_at = time.monotonic()
            if tenant != self._tenant or data["position"] <= self.last_notice:
                return
            if data["previous"] != self.last_notice:
                self._hear_gap(data["previous"], data["position"])
            self._apply(kind, key_id, data)
            self.position = max(self.position, data["position"])
            self.last_notice, self.sequence = data["position"], sequence
            self.dirty = True

    def _hear_gap(self, previous: int, position: int) -> None:
        self.floor = max(self.floor, position)
        self.dirty = True
        tell("gap", heard=self.last_notice, previous=previous, position=position)
        # The feed is asked for what is missing, once. If it does not have it, the floor stays and we go on.
        if self._gap != (self.last_notice, position):
            self._gap = (self.last_notice, position)
            raise Gap

    def _apply(self, kind: str, key_id: str, data: dict) -> None:
        position = data["position"]
        if kind in TAKES_AWAY:
            self.denied.pop(key_id, None)
            self.denied[key_id] = position
            tell("denied", key=key_id, position=position, kind=kind)
            if len(self.denied) > MAX_DENIED:
                oldest = next(iter(self.denied))
                self.floor = max(self.floor, self.denied.pop(oldest))
        elif kind == "reinstated":
            self.denied.pop(key_id, None)
            tell("reinstated", key=key_id, position=position)
        elif kind in ("recalled", "closed"):
            self.floor = max(self.floor, position)
            tell(kind, position=position, selector=json.dumps(data.get("selector"), separators=(",", ":")))

    def hear_heartbeat(self, head: int, last_notice: int) -> None:
        """All up to the head was sent, unless the tenant's last notice is one that was not heard."""
        with self._lock:
            if last_notice > self.last_notice:
                self._hear_gap(last_notice, last_notice)
                self.last_notice = last_notice
            self._heard_at = time.monotonic()
            self.dirty = self.dirty or head > self.position
            self.position = max(self.position, head)

    def hear_sign_of_life(self) -> None:
        with self._lock:
            self._heard_at = time.monotonic()

    def save(self, at_once: bool = False) -> None:
        """Writes set and position into one file, so the position never runs ahead of its effect."""
        if not self.dirty or (not at_once and time.monotonic() - self._saved_at < SAVE_EVERY_S):
            return
        with self._lock:
            held = {"tenant": self._tenant, "log_id": self.log_id, "position": self.position,
                    "last_notice": self.last_notice, "sequence": self.sequence, "floor": self.floor,
                    "denied": self.denied}
            text = json.dumps(held)
            self.dirty = False
        with open(f"{self._path}.new", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self._path}.new", self._path)
        self._saved_at = time.monotonic()


class BackOff:
    """Pauses that grow until something was heard."""

    def __init__(self) -> None:
        self._pause = BACK_OFF_S[0]

    def heard(self) -> None:
        self._pause = BACK_OFF_S[0]

    def next(self, why: BaseException) -> float:
        pause, self._pause = random.uniform(0, self._pause), min(self._pause * 2, BACK_OFF_S[1])
        # The kind of the error only: its text may hold an address with a password.
        words = str(why) if isinstance(why, Refused) else type(why).__name__
        tell("disconnected", why=words, again_in_s=f"{pause:.2f}")
        return pause


class Refused(Exception):
    """The server answered, with another status than 200."""


def follow_sse(held: DenySet) -> None:
    base = urllib.parse.urlsplit(os.environ.get("RESCIND_URL", "http://127.0.0.1:8750"))
    back_off = BackOff()
    while True:
        try:
            hear_sse(held, base, back_off)
        except (Gap, Dropped):
            pass  # From the last position that is held, without a pause.
        except (OSError, http.client.HTTPException, Refused, ValueError, KeyError) as error:
            held.save(at_once=True)
            time.sleep(back_off.next(error))


def hear_sse(held: DenySet, base: urllib.parse.SplitResult, back_off: BackOff) -> None:
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.hostname, base.port, timeout=MAX_SILENCE_S)
    try:
        path = f"{base.path.rstrip('/')}/v1/feed?" + urllib.parse.urlencode({"tenant": held._tenant})
        headers = {"Authorization": f"Bearer {credential()}", "Last-Event-ID": str(held.position)}
        connection.request("GET", path, headers=headers)  # Redirects are not followed: the key stays here.
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(f"status {answer.status}")
        for event, data in events(answer):
            hear_event(held, event, data)
            back_off.heard()
            held.save()
        raise ConnectionError("the feed ended")
    finally:
        connection.close()


def events(answer: http.client.HTTPResponse):
    """The name and the data of each server-sent event."""
    event, data = "message", []
    while line := answer.readline(MAX_LINE):
        field, _, value = line.decode().rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if not line.endswith(b"\n"):
            raise ValueError("a line without an end")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
        elif line.strip() == b"":
            if data:
                yield event, json.loads("\n".join(data))
            event, data = "message", []


def hear_event(held: DenySet, event: str, data: dict) -> None:
    if event == "reset":
        held.drop(data["log_id"])
    elif event == "hello":
        held.hear_log(data["log_id"])
        held.hear_sign_of_life()
        tell("connected", log=data["log_id"], position=held.position)
    elif event == "heartbeat":
        held.hear_heartbeat(data["head"], data["last_notice"])
    elif "specversion" in data:
        held.hear_notice(data)


def credential() -> str:
    """Read for each connection, so that a rotated key is taken up."""
    if path := os.environ.get("RESCIND_KEY_FILE"):
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    return os.environ.get("RESCIND_KEY", "")


async def follow_nats(held: DenySet, name: str) -> None:
    back_off = BackOff()
    while True:
        try:
            await hear_nats(held, name, back_off)
        except (Gap, Dropped):
            pass
        except Exception as error:  # nats-py has many; each means: connect again.
            held.save(at_once=True)
            await asyncio.sleep(back_off.next(error))


async def hear_nats(held: DenySet, name: str, back_off: BackOff) -> None:
    import nats

    async def quietly(_error: Exception) -> None:
        pass  # By default nats-py prints errors, and addresses with them.

    connection = await nats.connect(
        os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), user_credentials=os.environ.get("NATS_CREDS"),
        allow_reconnect=False, connect_timeout=MAX_SILENCE_S, error_cb=quietly,
    )
    try:
        await make_consumer(held, connection.jetstream(), name)
        tell("connected", log=held.log_id, position=held.position)
        await pull(held, connection, name, back_off)
    finally:
        await connection.close()


async def make_consumer(held: DenySet, feed, name: str) -> None:
    """A consumer that begins with the last notice that was heard: if it is not there, the stream is another one."""
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
    from nats.js.errors import APIError

    config = ConsumerConfig(
        durable_name=name, filter_subject=f"rescind.notices.{held._tenant}.>", ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=max(1, held.sequence), inactive_threshold=60,
    )
    try:
        made = await feed.add_consumer(STREAM, config)
    except APIError:
        # It is there from before, with another beginning. Our place is in our file, so it can go.
        await feed.delete_consumer(STREAM, name)
        made = await feed.add_consumer(STREAM, config)
    if held.sequence > 0 and made.num_pending == 0:
        held.drop(None)


async def pull(held: DenySet, connection, name: str, back_off: BackOff) -> None:
    """Asks for 256 notices, each delivered when it is there; the server speaks each second when there is none."""
    inbox = connection.new_inbox()
    arriving = await connection.subscribe(inbox)
    request = json.dumps({"batch": 256, "expires": 30_000_000_000, "idle_heartbeat": 1_000_000_000}).encode()
    left, begins_at = 0, held.sequence
    while True:
        if left == 0:
            await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}", request, reply=inbox)
            left = 256
        message = await arriving.next_msg(timeout=MAX_SILENCE_S)
        status = (message.headers or {}).get("Status")
        if status is None:
            notice, sequence = json.loads(message.data), message.metadata.sequence.stream
            held.hear_log(notice["source"].rsplit("/", 1)[1])
            if sequence == begins_at and notice["data"]["position"] != held.last_notice:
                held.drop(None)
            held.hear_notice(notice, sequence)
            left -= 1
        elif status in ("404", "408"):
            left = 0  # The request is over.
        elif status != "100":
            raise Refused(f"JetStream says {status}")
        held.hear_sign_of_life()
        back_off.heard()
        held.save()


def main() -> None:
    arguments = argparse.ArgumentParser(description="Prints which keys have to be refused.")
    arguments.add_argument("--feed", choices=("sse", "nats"), default="sse")
    arguments.add_argument("--tenant", default="default")
    arguments.add_argument("--state", default="rescind-deny.json", help="the file that holds set and position")
    arguments.add_argument("--name", default="deny-set", help="of the consumer on NATS")
    given = arguments.parse_args()
    held = DenySet(given.tenant, given.state)
    tell("started", position=held.position, denied=len(held.denied))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if given.feed == "sse":
            follow_sse(held)
        else:
            asyncio.run(follow_nats(held, given.name))
    except KeyboardInterrupt:
        pass
    finally:
        held.save(at_once=True)


if __name__ == "__main__":
    main()
