import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { createVaultClient, type VaultRequest } from "../../lib/vault/client.ts";
import type { VaultError } from "../../lib/vault/error.ts";
import { createFromRole } from "../../lib/vault/token.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";

// No waits between attempts except those that the server asks for.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

function refusal(status: number, words: readonly string[] = [], headers: Record<string, string> = {}) {
  return Response.json({ errors: words }, { status, headers });
}

async function failed(answer: () => Response, request: VaultRequest) {
  await using server = startScripted(answer);
  const error = await vaultErrorOf(() => createVaultClient({ address: server.address }).request(request));
  return { error, sent: server.seen.length };
}

describe("client.request() on a temporary failure", () => {
  // Status, the server's words, and how often a repeatable and a non-repeatable request are sent.
  test.each([
    [412, "required index state not present", 3, 3],
    [429, "rate limit quota exceeded", 3, 3],
    [472, "", 3, 3],
    [473, "", 3, 3],
    [500, "internal error", 3, 1],
    [500, "local node not active but active cluster node not found", 3, 3],
    [502, "bad gateway", 3, 1],
    [503, "service unavailable", 3, 1],
    [503, "Vault is sealed", 3, 3],
    [504, "gateway timeout", 3, 1],
    [400, "Vault is sealed", 3, 3],
  ])("HTTP %d %p: %d attempts at a read, %d at a creation", async (status, words, reads, creations) => {
    const answer = () => refusal(status, words === "" ? [] : [words]);
    const { error, sent } = await failed(answer, get());
    expect(error.kind).toBe("temporary");
    expect(error.status).toBe(status);
    expect(error.message).toBe(`GET sys/mounts: HTTP ${status}${words === "" ? "" : `, ${words}`}`);
    expect(sent).toBe(reads);
    expect((await failed(answer, createOnce())).sent).toBe(creations);
  });

  test.each([
    [400, "missing client token", "data"],
    [403, "permission denied", "permission"],
    [404, "", "unavailable"],
    [405, "unsupported operation", "unavailable"],
    [418, "a teapot", "unavailable"],
    [501, "not implemented", "unavailable"],
    [505, "no such version of HTTP", "unavailable"],
    [511, "log in to the network first", "unavailable"],
  ] as const)("does not include HTTP %d %p: one attempt", async (status, words, kind) => {
    const { error, sent } = await failed(() => refusal(status, words === "" ? [] : [words]), get());
    expect(error.kind).toBe(kind);
    expect(sent).toBe(1);
  });

  test("returns the answer of the attempt that succeeds", async () => {
    await using server = startScripted((_seen, number) =>
      number < 3 ? refusal(503) : Response.json({ data: {} }),
    );
    expect(await createVaultClient({ address: server.address }).request(get())).toEqual({ data: {} });
    expect(server.seen).toHaveLength(3);
  });

  test("stops after maxRetries", async () => {
    await using server = startScripted(() => refusal(503));
    await vaultErrorOf(() => createVaultClient({ address: server.address, maxRetries: 0 }).request(get()));
    expect(server.seen).toHaveLength(1);
    await vaultErrorOf(() => createVaultClient({ address: server.address, maxRetries: 4 }).request(get()));
    expect(server.seen).toHaveLength(1 + 5);
  });
});

test("client.request() keeps twenty of a server's errors, and of each 2,000 characters", async () => {
  const { error } = await failed(() => refusal(400, Array(1000).fill("no".repeat(2000))), get());
  expect(error.serverErrors).toEqual(Array(20).fill("no".repeat(1000)));
});

describe("client.request() on Retry-After", () => {
  test("waits for as many seconds as it says", async () => {
    const waits: number[] = [];
    await using server = startScripted((_seen, number) =>
      number === 1 ? refusal(429, [], { "Retry-After": "1" }) : Response.json({ data: {} }),
    );
    const client = createVaultClient({ address: server.address, onRetry: (_error, ms) => waits.push(ms) });
    const start = performance.now();
    await client.request(createOnce());
    expect(waits).toEqual([1_000]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(998);
    expect(server.seen).toHaveLength(2);
  });

  test("waits until the date that it says", async () => {
    const at = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
    const header = new Date(at).toUTCString();
    await using server = startScripted(() => refusal(429, [], { "Retry-After": header }));
    const controller = new AbortController();
    const ends: number[] = [];
    const onRetry = (_error: VaultError, waitMs: number) => {
      ends.push(Date.now() + waitMs - at);
      controller.abort();
    };
    const { signal } = controller;
    await vaultErrorOf(() => createVaultClient({ address: server.address, signal, onRetry }).request(get()));
    // What passed between the reading of the date and the look at it.
    expect(ends).toHaveLength(1);
    expect(ends[0]).toBeWithin(0, 60_000);
  });

  test("reports the error and the wait before each attempt", async () => {
    const told: string[] = [];
    await using server = startScripted(() => refusal(503, ["busy"]));
    const client = createVaultClient({
      address: server.address,
      onRetry: (error, waitMs) => told.push(`${error.message} ${waitMs}`),
    });
    await vaultErrorOf(() => client.request(get()));
    const line = "GET sys/mounts: HTTP 503, busy 0";
    expect(told).toEqual([line, line]);
  });
});

describe("client.request() on a connection that breaks", () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

  test.each([
    ["before the request", { onConnection: (s) => s.resetAndDestroy() }],
    ["after the request", { onRequest: (s) => s.resetAndDestroy() }],
    ["after the request, politely", { onRequest: (s) => s.end() }],
    ["in the headers", { onRequest: (s) => s.end("HTTP/1.1 200 OK\r\nContent-Le") }],
    ["in a body of known length", { onRequest: (s) => s.end(`${head}Content-Length: 90\r\n\r\n{"data":`) }],
    [
      "in a body in chunks",
      { onRequest: (s) => s.end(`${head}Transfer-Encoding: chunked\r\n\r\n8\r\n{"data":\r\n`) },
    ],
  ] satisfies ReadonlyArray<readonly [string, Parameters<typeof startRaw>[0]]>)(
    "%s: repeats a read, never a creation",
    async (_when, answers) => {
      await using server = await startRaw(answers);
      const client = createVaultClient({ address: server.address });
      const error = await vaultErrorOf(() => client.request(get()));
      expect(error.message).toContain("broke off the connection");
      expect(error.kind).toBe("temporary");
      expect(server.connections).toBe(3);

      await vaultErrorOf(() => createFromRole(client, "demo-worker", "hvs.init"));
      expect(server.connections).toBe(4);
    },
  );

  test("returns the answer of the attempt that succeeds", async () => {
    await using server = await startRaw({
      onRequest: (socket, number) =>
        number === 1 ? socket.resetAndDestroy() : socket.end(`${head}Content-Length: 2\r\n\r\n{}`),
    });
    expect(await createVaultClient({ address: server.address }).request(get())).toEqual({});
  });

  test("does not send a creation again if a kept connection is gone", async () => {
    await using server = await startRaw({
      onRequest: (socket, number) =>
        number === 1 ? socket.write(`${head}Content-Length: 2\r\n\r\n{}`) : socket.resetAndDestroy(),
    });
    const client = createVaultClient({ address: server.address });
    await client.request(get());
    await vaultErrorOf(() => createFromRole(client, "demo-worker", "hvs.init"));
    expect([server.connections, server.requests]).toEqual([1, 2]);
  });

  test("says that nothing listens, and tries even a creation again", async () => {
    const server = await startRaw({});
    await server[Symbol.asyncDispose]();
    let tries = 0;
    const client = createVaultClient({ address: server.address, onRetry: () => tries++ });
    const error = await vaultErrorOf(() => client.request(createOnce()));
    expect(error.message).toContain("refuses the connection (ECONNREFUSED)");
    expect(error.kind).toBe("temporary");
    expect(tries).toBe(2);
  });

  test("says that the name has no address", async () => {
    const client = createVaultClient({ address: "http://vault.invalid:8200" });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toContain("vault.invalid:8200 has no address in DNS");
    expect(error.kind).toBe("temporary");
  });

  test("says that something other than Vault answers", async () => {
    await using server = await startRaw({ onConnection: (socket) => socket.write("SSH-2.0-OpenSSH_9\r\n") });
    const client = createVaultClient({ address: server.address, maxRetries: 0 });
    expect((await vaultErrorOf(() => client.request(get()))).kind).toBe("temporary");
    const overTls = createVaultClient({ address: server.address.replace("http", "https"), maxRetries: 0 });
    const error = await vaultErrorOf(() => overTls.request(get()));
    expect(error.message).toContain("breaks off the TLS handshake");
    expect(error.kind).toBe("unavailable");
  });
});
