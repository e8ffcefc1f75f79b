import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { Failure } from "../../lib/failure.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { failureOf } from "../support/failure.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";
import { until } from "../support/wait.ts";

// No waits between attempts.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/** Sends one byte after the other, without end. */
function drips(): Response {
  const encoder = new TextEncoder();
  async function* bytes() {
    yield encoder.encode('{"data":"');
    for (;;) {
      await Bun.sleep(20);
      yield encoder.encode("a");
    }
  }
  return new Response(bytes());
}

describe("requestTimeoutMs", () => {
  test("ends an attempt that is never answered, and repeats a read but not a creation", async () => {
    await using server = await startRaw({});
    const client = createVaultClient({ address: server.address, requestTimeoutMs: 60 });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toMatch(/^GET sys\/mounts: 127\.0\.0\.1:\d+ did not answer within 0\.06 s$/);
    expect(error.kind).toBe("temporary");
    expect(server.requests).toBe(3);
    await vaultErrorOf(() => client.request(createOnce()));
    expect(server.requests).toBe(4);
    // An attempt that was given up leaves no connection open.
    await until(() => server.closed === 4);
  });

  test("ends an attempt whose body comes one byte at a time", async () => {
    await using server = startScripted(drips);
    const client = createVaultClient({ address: server.address, requestTimeoutMs: 150, maxRetries: 0 });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toContain("did not answer within 0.15 s");
    expect(error.kind).toBe("temporary");
  });

  test("ends an attempt whose headers come one byte at a time", async () => {
    await using server = await startRaw({
      onRequest(socket) {
        socket.write("HTTP/1.1 200 OK\r\nX-Slow: ");
        const timer = setInterval(() => socket.write("a"), 20);
        socket.on("close", () => clearInterval(timer));
      },
    });
    const client = createVaultClient({ address: server.address, requestTimeoutMs: 150, maxRetries: 0 });
    expect((await vaultErrorOf(() => client.request(get()))).message).toContain(
      "did not answer within 0.15 s",
    );
    await until(() => server.closed === 1);
  });

  test("starts again with each attempt", async () => {
    await using server = startScripted(async (_seen, number) => {
      if (number < 3) await Bun.sleep(5_000);
      return Response.json({});
    });
    const client = createVaultClient({ address: server.address, requestTimeoutMs: 200 });
    expect(await client.request(get())).toEqual({});
  });
});

describe("signal", () => {
  test.each([
    ["before the answer", () => new Promise<Response>(() => {})],
    ["within the body", drips],
  ])("ends a request at once when it comes %s, without another attempt", async (_when, answer) => {
    await using server = startScripted(answer);
    const controller = new AbortController();
    const client = createVaultClient({ address: server.address, signal: controller.signal });
    const failure = failureOf(() => client.request(get()));
    await until(() => server.seen.length === 1);
    await Bun.sleep(30);
    controller.abort(new Failure("temporary", "stopped by SIGTERM"));
    expect((await failure).message).toMatch(
      /^GET sys\/mounts: 127.*had not answered when the run ended \(stopped by SIGTERM\)$/,
    );
    expect((await failure).kind).toBe("temporary");
    expect(server.seen).toHaveLength(1);
  });

  test("ends the wait for the next attempt", async () => {
    await using server = startScripted(
      () => new Response(null, { status: 429, headers: { "Retry-After": "3600" } }),
    );
    const controller = new AbortController();
    const client = createVaultClient({
      address: server.address,
      signal: controller.signal,
      onRetry: () => setTimeout(() => controller.abort(), 10),
    });
    expect((await vaultErrorOf(() => client.request(get()))).status).toBe(429);
    expect(server.seen).toHaveLength(1);
  });

  test("stops every request that was not sent yet", async () => {
    await using server = startScripted(() => new Promise<Response>(() => {}));
    const controller = new AbortController();
    const client = createVaultClient({
      address: server.address,
      signal: controller.signal,
      maxConcurrent: 1,
    });
    const failures = ["a/b", "c/d", "e/f"].map((path) => failureOf(() => client.request(get(path))));
    await until(() => server.seen.length === 1);
    controller.abort();
    await Promise.all(failures);
    await failureOf(() => client.request(get()));
    expect(server.seen.map(({ path }) => path)).toEqual(["/v1/a/b"]);
  });
});

describe("maxConcurrent", () => {
  /** Sends 30 requests at once. Returns the highest number that the server had at the same time. */
  async function most(maxConcurrent: number | undefined, status = 200) {
    let [inHand, peak] = [0, 0];
    await using server = startScripted(async () => {
      peak = Math.max(peak, ++inHand);
      await Bun.sleep(10);
      inHand--;
      return Response.json({ errors: [] }, { status });
    });
    const client = createVaultClient({
      address: server.address,
      maxRetries: 0,
      ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
    });
    const paths = Array.from({ length: 30 }, (_, index) => `demo/${index}`);
    const results = await Promise.allSettled(paths.map((path) => client.request(get(path))));
    expect(new Set(server.seen.map(({ path }) => path))).toEqual(new Set(paths.map((path) => `/v1/${path}`)));
    expect(results.every((result) => result.status === (status === 200 ? "fulfilled" : "rejected"))).toBe(
      true,
    );
    return peak;
  }

  test.each([1, 3])("limits the requests under way to %d", async (size) => {
    expect(await most(size)).toBe(size);
  });

  test("is 8 by default", async () => {
    expect(await most(undefined)).toBe(8);
  });

  test("lets the next request in after one fails", async () => {
    expect(await most(2, 500)).toBe(2);
  });
});

describe("the connection", () => {
  test("is not opened before the first request", async () => {
    await using server = await startRaw({});
    createVaultClient({ address: server.address });
    await Bun.sleep(20);
    expect(server.connections).toBe(0);
  });

  test("is kept for later requests", async () => {
    await using server = await startRaw({
      onRequest: (socket) => socket.write(`${head}Content-Length: 2\r\n\r\n{}`),
    });
    const client = createVaultClient({ address: server.address });
    for (const _ of [1, 2, 3]) await client.request(get());
    await client.request(createOnce());
    expect([server.requests, server.connections]).toEqual([4, 1]);
  });

  test("is kept after refusals", async () => {
    await using server = await startRaw({
      onRequest: (socket) =>
        socket.write(`HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n{"errors":[]}`),
    });
    const client = createVaultClient({ address: server.address });
    for (const _ of [1, 2, 3]) await vaultErrorOf(() => client.request(get()));
    expect([server.requests, server.connections]).toEqual([3, 1]);
  });
});
