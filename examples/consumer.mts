// Keeps a set of keys that must be refused, fed by Rescind. Copy this file into your service.
//
// Needs Node 22.18 or later, which runs it as it is; with Node 20 run it with tsx or compile it. Nothing else is needed for
// server-sent events; `npm install @nats-io/transport-node` for NATS.
//
//   RESCIND_URL=http://127.0.0.1:8750 RESCIND_KEY_FILE=feed.key node consumer.mts --feed sse --tenant acme --state deny.json
//   NATS_URL=nats://127.0.0.1:4222 NATS_CREDS=mailer.creds node consumer.mts --feed nats --tenant acme --state deny.json
//
// The operator's key needs the scope `feed` (`acme/feed`). On NATS the consumer is called as `--name` says: one a process.
//
// Before a key passes, ask `DenySet.look(keyId, asOf)`, where `asOf` is the position in the answer of POST /v1/verify that
// you hold for that key (`as_of.position`), or 0 if you hold none:
//
//   denied   refuse it
//   stale    nothing was heard for MAX_SILENCE_MS: refuse, or ask the server
//   ask      your answer is older than something that this set cannot tell key by key: ask the server again
//   pass     nothing speaks against the answer that you hold
//
// A recall names keys by owner, label, scope, issuer or environment, which a key id does not tell. So a recall makes `look`
// say `ask` for every answer from before it; keys issued later are not touched. The same is done for what a gap, a full set
// or a closed tenant leaves unknown: in doubt the server is asked, and no key passes because a notice went missing.
//
// Silence is noticed after MAX_SILENCE_MS, but a feed that goes on is no proof that it tells all: only the guard has a lease.

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, realpathSync, renameSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Msg, NatsConnection } from "@nats-io/transport-node";

const MAX_DENIED = 100_000; // About 20 MB. Beyond it the oldest go, and answers from before them have to be asked for again.
const MAX_SILENCE_MS = 5_000; // The feed says something each second.
const SAVE_EVERY_MS = 1_000; // What a crash loses of the file is sent again.
const MAX_EVENT = 1 << 20; // Of an event stream: a notice is a few kB.
const BACK_OFF_MS = [250, 30_000] as const; // The first pause and the longest; each is drawn at random up to its length.
const STREAM = "RESCIND_FEED";
const TAKES_AWAY = ["revoked", "expired", "suspended"];

/** One line for people and tests. Nothing that is passed in here is a secret. */
function tell(what: string, details: Record<string, unknown> = {}): void {
  console.log([what, ...Object.entries(details).map(([name, value]) => `${name}=${value}`)].join(" "));
}

/** A notice is missing: the feed is taken up again after the last one that was heard. */
class Gap extends Error {}

/** Another log, or an older copy of this one: all that was held is void, and the feed begins anew. */
class Dropped extends Error {}

/** The other side answered, and not with what was asked for. Its words hold no secret. */
class Refused extends Error {}

interface Notice {
  source: string;
  type: string;
  subject: string;
  data: { position: number; previous: number; selector?: object };
}

interface Held {
  tenant: string;
  log_id: string | null;
  /** Everything up to here has been heard. */
  position: number;
  /** The tenant's last notice up to there. */
  last_notice: number;
  /** Where that lies in the stream, on NATS. */
  sequence: number;
  /** Answers from before this position have to be asked for again. */
  floor: number;
  /** Key id to the position that took it away, oldest first. */
  denied: Map<string, number>;
}

/** The keys to refuse, and up to which position they are known. */
export class DenySet {
  readonly held: Held;
  private readonly path: string;
  private heardAt = -Infinity;
  private savedAt = performance.now();
  private gap = "";
  private dirty = false;

  constructor(tenant: string, path: string) {
    this.path = path;
    this.held = { tenant, ...nothing(null) };
    if (!existsSync(path)) return;
    const read = JSON.parse(readFileSync(path, "utf8"));
    if (read.tenant !== tenant) throw new Error(`${path} is another tenant's: move it away to begin anew`);
    this.held = { ...read, denied: new Map(Object.entries(read.denied)) };
  }

  /** What to do about a key for which you hold the server's answer as of a position. */
  look(keyId: string, asOf = 0): "denied" | "stale" | "ask" | "pass" {
    if (this.held.denied.has(keyId)) return "denied";
    if (performance.now() - this.heardAt > MAX_SILENCE_MS) return "stale";
    return asOf < this.held.floor ? "ask" : "pass";
  }

  /** Drops everything if the feed is of another log. */
  hearLog(logId: string): void {
    if (this.held.log_id !== null && this.held.log_id !== logId) this.drop(logId);
    this.held.log_id = logId;
  }

  /** Forgets everything. Whoever holds answers of the server has to drop them as well. */
  drop(logId: string | null): never {
    Object.assign(this.held, nothing(logId));
    this.dirty = true;
    tell("reset", { log: logId });
    throw new Dropped();
  }

  /** Applies one notice. Twice is harmless; one whose predecessor was not heard is a gap. */
  hearNotice(notice: Notice, sequence = 0): void {
    this.hearLog(notice.source.split("/").at(-1)!);
    const [tenant, keyId] = notice.subject.split("/");
    const { position, previous, selector } = notice.data;
    if (!Number.isSafeInteger(position)) throw new Refused("a position beyond what a number holds");
    this.hearSignOfLife();
    if (tenant !== this.held.tenant || position <= this.held.last_notice) return;
    if (previous !== this.held.last_notice) this.hearGap(previous, position);
    this.apply(notice.type.split(".")[2]!, keyId!, position, selector);
    this.held.position = Math.max(this.held.position, position);
    this.held.last_notice = position;
    this.held.sequence = sequence;
    this.dirty = true;
  }

  private hearGap(previous: number, position: number): void {
    const heard = this.held.last_notice;
    this.held.floor = Math.max(this.held.floor, position);
    this.dirty = true;
    tell("gap", { heard, previous, position });
    // The feed is asked for what is missing, once. If it does not have it, the floor stays and we go on.
    if (this.gap !== `${heard} ${position}`) {
      this.gap = `${heard} ${position}`;
      throw new Gap();
    }
  }

  private apply(kind: string, keyId: string, position: number, selector?: object): void {
    const { denied } = this.held;
    if (TAKES_AWAY.includes(kind)) {
      denied.delete(keyId);
      denied.set(keyId, position);
      tell("denied", { key: keyId, position, kind });
      const [oldest] = denied;
      if (denied.size > MAX_DENIED && oldest) {
        denied.delete(oldest[0]);
        this.held.floor = Math.max(this.held.floor, oldest[1]);
      }
    } else if (kind === "reinstated") {
      denied.delete(keyId);
      tell("reinstated", { key: keyId, position });
    } else if (kind === "recalled" || kind === "closed") {
      this.held.floor = Math.max(this.held.floor, position);
      tell(kind, { position, selector: JSON.stringify(selector ?? null) });
    }
  }

  /** All up to the head was sent, unless the tenant's last notice is one that was not heard. */
  hearHeartbeat(head: number, lastNotice: number): void {
    if (lastNotice > this.held.last_notice) {
      this.hearGap(lastNotice, lastNotice);
      this.held.last_notice = lastNotice;
    }
    this.hearSignOfLife();
    this.dirty ||= head > this.held.position;
    this.held.position = Math.max(this.held.position, head);
  }

  hearSignOfLife(): void {
    this.heardAt = performance.now();
  }

  /** Writes set and position into one file, so the position never runs ahead of its effect. */
  save(when: "at once" | "in time" = "in time"): void {
    if (!this.dirty || (when === "in time" && performance.now() - this.savedAt < SAVE_EVERY_MS)) return;
    const file = openSync(`${this.path}.new`, "w", 0o600);
    try {
      writeSync(file, JSON.stringify({ ...this.held, denied: Object.fromEntries(this.held.denied) }));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${this.path}.new`, this.path);
    this.dirty = false;
    this.savedAt = performance.now();
  }
}

function nothing(logId: string | null): Omit<Held, "tenant"> {
  return { log_id: logId, position: 0, last_notice: 0, sequence: 0, floor: 0, denied: new Map() };
}

/** Follows a feed for ever; pauses grow until something was heard. */
async function follow(set: DenySet, hear: (heard: () => void) => Promise<void>): Promise<never> {
  const [shortest, longest] = BACK_OFF_MS;
  let length: number = shortest;
  for (;;) {
    try {
      await hear(() => {
        length = shortest;
        set.save();
      });
    } catch (error) {
      if (error instanceof Gap || error instanceof Dropped) continue; // From what is held, without a pause.
      set.save("at once");
      const wait = Math.random() * length;
      length = Math.min(length * 2, longest);
      // The kind of the error only: its text may hold an address with a password.
      const known = error as { name?: string; code?: unknown; cause?: { code?: unknown } };
      const why = error instanceof Refused ? error.message : (known.cause?.code ?? known.code ?? known.name);
      tell("disconnected", { why, again_in_ms: wait.toFixed(0) });
      await pause(wait);
    }
  }
}

/** What a promise gives, unless it takes longer than the other side may be silent. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = pause(MAX_SILENCE_MS, undefined, over).then(() => {
    throw new Refused("silent for too long");
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => {});
    over.abort();
  }
}

async function hearSse(set: DenySet, heard: () => void): Promise<void> {
  const connection = new AbortController();
  try {
    const base = (process.env.RESCIND_URL ?? "http://127.0.0.1:8750").replace(/\/+$/, "");
    const answer = await inTime(
      fetch(`${base}/v1/feed?tenant=${encodeURIComponent(set.held.tenant)}`, {
        headers: { authorization: `Bearer ${credential()}`, "last-event-id": String(set.held.position) },
        redirect: "error", // The key stays here.
        signal: connection.signal,
      }),
    );
    if (answer.status !== 200 || answer.body === null) throw new Refused(`status ${answer.status}`);
    for await (const [event, data] of events(answer.body)) {
      hearEvent(set, event, data);
      heard();
    }
    throw new Refused("the feed ended");
  } finally {
    connection.abort();
  }
}

/** The name and the data of each server-sent event. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<[string, any]> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await inTime(reader.read());
    if (done) return;
    const pieces = (text + decoder.decode(value, { stream: true }).replaceAll("\r", "")).split("\n\n");
    text = pieces.pop()!;
    if (text.length > MAX_EVENT) throw new Refused("an event without an end");
    for (const piece of pieces) {
      const fields = piece.split("\n").map((line) => line.match(/^(\w*): ?(.*)$/) ?? ["", "", ""]);
      const named = (name: string) => fields.filter((field) => field[1] === name).map((field) => field[2]!);
      const data = named("data");
      if (data.length > 0) yield [named("event").at(-1) ?? "message", JSON.parse(data.join("\n"))];
    }
  }
}

function hearEvent(set: DenySet, event: string, data: any): void {
  if (event === "reset") {
    set.drop(data.log_id);
  } else if (event === "hello") {
    set.hearLog(data.log_id);
    set.hearSignOfLife();
    tell("connected", { log: data.log_id, position: set.held.position });
  } else if (event === "heartbeat") {
    set.hearHeartbeat(data.head, data.last_notice);
  } else if ("specversion" in data) {
    set.hearNotice(data);
  }
}

/** Read for each connection, so that a rotated key is taken up. */
function credential(): string {
  const file = process.env.RESCIND_KEY_FILE;
  return file === undefined ? (process.env.RESCIND_KEY ?? "") : readFileSync(file, "ascii").trim();
}

async function hearNats(set: DenySet, name: string, heard: () => void): Promise<void> {
  const { connect, createInbox, credsAuthenticator } = await import("@nats-io/transport-node");
  const creds = process.env.NATS_CREDS;
  const connection = await connect({
    servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
    reconnect: false,
    timeout: MAX_SILENCE_MS,
    ...(creds === undefined ? {} : { authenticator: credsAuthenticator(readFileSync(creds)) }),
  });
  try {
    await makeConsumer(set, connection, name);
    tell("connected", { log: set.held.log_id, position: set.held.position });
    await pull(set, connection, name, createInbox(), heard);
  } finally {
    await connection.close();
  }
}

/** A consumer that begins with the last notice that was heard: if it is not there, the stream is another one. */
async function makeConsumer(set: DenySet, connection: NatsConnection, name: string): Promise<void> {
  const filter = `rescind.notices.${set.held.tenant}.>`;
  const config = {
    durable_name: name,
    filter_subject: filter,
    ack_policy: "none",
    deliver_policy: "by_start_sequence",
    opt_start_seq: Math.max(1, set.held.sequence),
    inactive_threshold: 60e9,
  };
  const ask = async (verb: string, body: object) => {
    const answer = await connection.request(`$JS.API.CONSUMER.${verb}`, JSON.stringify(body), { timeout: MAX_SILENCE_MS });
    return answer.json<{ num_pending?: number; error?: { err_code: number } }>();
  };
  const create = () => ask(`CREATE.${STREAM}.${name}.${filter}`, { stream_name: STREAM, config, action: "" });
  let made = await create();
  if (made.error) {
    // It is there from before, with another beginning. Our place is in our file, so it can go.
    await ask(`DELETE.${STREAM}.${name}`, {});
    made = await create();
  }
  if (made.error) throw new Refused(`JetStream says ${made.error.err_code}`);
  if (set.held.sequence > 0 && made.num_pending === 0) set.drop(null);
}

/** Asks for 256 notices, each delivered when it is there; the server speaks each second when there is none. */
async function pull(
  set: DenySet,
  connection: NatsConnection,
  name: string,
  inbox: string,
  heard: () => void,
): Promise<void> {
  const arriving = connection.subscribe(inbox)[Symbol.asyncIterator]();
  const request = JSON.stringify({ batch: 256, expires: 30e9, idle_heartbeat: 1e9 });
  const beginsAt = set.held.sequence;
  for (let left = 0; ; ) {
    if (left === 0) {
      connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.${name}`, request, { reply: inbox });
      left = 256;
    }
    const { done, value: message } = await inTime(arriving.next());
    if (done) throw new Refused("the connection ended");
    const status = message.headers?.code ?? 0;
    if (status === 0) {
      const notice: Notice = message.json();
      const sequence = streamSequence(message);
      set.hearLog(notice.source.split("/").at(-1)!);
      if (sequence === beginsAt && notice.data.position !== set.held.last_notice) set.drop(null);
      set.hearNotice(notice, sequence);
      left -= 1;
    } else if (status === 404 || status === 408) {
      left = 0; // The request is over.
    } else if (status !== 100) {
      throw new Refused(`JetStream says ${status}`);
    }
    set.hearSignOfLife();
    heard();
  }
}

/** Of `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>…`, with two tokens more before the stream on newer servers. */
function streamSequence(message: Msg): number {
  const tokens = message.reply!.split(".");
  return Number(tokens[tokens.length > 9 ? 7 : 5]);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      feed: { type: "string", default: "sse" },
      tenant: { type: "string", default: "default" },
      state: { type: "string", default: "rescind-deny.json" },
      name: { type: "string", default: "deny-set" },
    },
  });
  const set = new DenySet(values.tenant, values.state);
  tell("started", { position: set.held.position, denied: set.held.denied.size });
  for (const stop of ["SIGINT", "SIGTERM"]) {
    process.on(stop, () => {
      set.save("at once");
      process.exit(0);
    });
  }
  await follow(set, (heard) => (values.feed === "nats" ? hearNats(set, values.name, heard) : hearSse(set, heard)));
}

// Imported elsewhere, it does nothing by itself.
const script = process.argv[1] ?? "";
if (existsSync(script) && pathToFileURL(realpathSync(script)).href === import.meta.url) await main();
