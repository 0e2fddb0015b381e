// An application with better-auth's API keys: create, verify and disable over HTTP, by the calls that its documentation has
// for servers.
//
// node better_auth.mjs NODE_MODULES_PARENT sqlite FILE
// node better_auth.mjs NODE_MODULES_PARENT postgresql URL
//
// Prints "listening on PORT" when its tables are there.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [installed, store, place] = process.argv.slice(2);
const require = createRequire(join(installed, "node_modules", "package.json"));

// Packages that are modules only have no entry for `require`: they are found by their manifest's folder.
async function load(name, file) {
  return import(pathToFileURL(join(installed, "node_modules", name, file)).href);
}

const { betterAuth } = await load("better-auth", "dist/index.mjs");
const { getMigrations } = await load("better-auth", "dist/db/get-migration.mjs");
const { apiKey } = await load("@better-auth/api-key", "dist/index.mjs");

function openSqlite(file) {
  const Database = require("better-sqlite3");
  const database = new Database(file);
  database.pragma("journal_mode = WAL");
  return database;
}

function openPostgresql(url) {
  const { Pool } = require("pg");
  return new Pool({ connectionString: url });
}

const database = store === "sqlite" ? openSqlite(place) : openPostgresql(place);
const auth = betterAuth({
  database,
  secret: "a secret of thirty-two letters or more",
  baseURL: "http://127.0.0.1",
  telemetry: { enabled: false },
  logger: { level: "error" },
  // Ten verifications a key and day are what is allowed otherwise.
  plugins: [apiKey({ rateLimit: { enabled: false } })],
});
await (await getMigrations(auth.options)).runMigrations();

const { internalAdapter } = await auth.$context;
const email = "sender@example.com";
const found = await internalAdapter.findUserByEmail(email);
const user = found?.user ?? (await internalAdapter.createUser({ email, name: "sender", emailVerified: true }));

const routes = {
  "/issue": async ({ name }) => {
    const made = await auth.api.createApiKey({ body: { userId: user.id, name } });
    return { key: made.key, id: made.id };
  },
  "/verify": async ({ key }) => auth.api.verifyApiKey({ body: { key } }),
  "/revoke": async ({ id }) => {
    const changed = await auth.api.updateApiKey({ body: { userId: user.id, keyId: id, enabled: false } });
    return { id: changed.id, enabled: changed.enabled };
  },
  // An acknowledged write is on disk only with FULL: better-sqlite3 is built with NORMAL for the write-ahead log.
  "/synchronous": async ({ level }) => {
    database.pragma(`synchronous = ${level === "FULL" ? "FULL" : "NORMAL"}`);
    return { level };
  },
};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    let status = 200;
    let answer;
    try {
      answer = await routes[request.url](JSON.parse(Buffer.concat(parts).toString()));
    } catch (error) {
      status = 500;
      answer = { error: String(error) };
    }
    const text = JSON.stringify(answer);
    response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
    response.end(text);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
