import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import { createVaultClient } from "../../lib/vault/client.ts";
import { listNames, readData } from "../../lib/vault/data.ts";
import { failureOf } from "../support/failure.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";
import { until } from "../support/wait.ts";

// No waits between attempts.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

const page = "<!DOCTYPE html><title>hvs.secret</title>";

function html(status: number, headers: Record<string, string> = {}): Response {
  return new Response(page, { status, headers: { "Content-Type": "text/html", ...headers } });
}

/** The outcome of a request that gets this answer each time, and how often it was sent. */
async function failed(answer: () => Response, request = get()) {
  await using server = startScripted(answer);
  const client = createVaultClient({ address: server.address });
  const error = await vaultErrorOf(() => client.ask(request));
  return { error, sent: server.seen.length };
}

describe("client.ask() on a page instead of JSON", () => {
  test.each([
    [200, "unavailable", 1],
    [400, "unavailable", 1],
    [403, "unavailable", 1],
    [404, "unavailable", 1],
    [429, "temporary", 3],
    [500, "temporary", 3],
    [502, "temporary", 3],
    [503, "temporary", 3],
    [504, "temporary", 3],
  ] as const)("with HTTP %d ends with %p after %d requests", async (status, kind, times) => {
    const { error, sent } = await failed(() => html(status));
    expect(error.message).toBe(`GET sys/mounts: HTTP ${status} came with an HTML page`);
    expect(error.hint).toContain("check VAULT_ADDR and any proxy on the way");
    expect(error.kind).toBe(kind);
    expect(error.status).toBe(status);
    expect(sent).toBe(times);
  });

  test.each([
    [429, 3],
    [502, 1],
  ])("with HTTP %d sends a request that must not be repeated %d times", async (status, times) => {
    expect((await failed(() => html(status), createOnce())).sent).toBe(times);
  });

  test("waits as long as the page's Retry-After says", async () => {
    const { error } = await failed(() => html(503, { "Retry-After": "0" }));
    expect(error.retryAfterMs).toBe(0);
  });

  test("does not quote the page", async () => {
    const { error } = await failed(() => html(200));
    expect(Bun.inspect(error) + Bun.inspect(error.cause)).not.toContain("hvs.secret");
  });
});

describe("client.ask() on a body that Vault would not send", () => {
  test.each([
    ["text", "no healthy upstream"],
    ["cut-off JSON", '{"data": {"key": "hvs.secret'],
    ["two JSON values", '{"data": {}} {"data": {}}'],
  ])("refuses %s without quoting it", async (_what, body) => {
    const { error, sent } = await failed(() => new Response(body));
    expect(error.message).toBe("GET sys/mounts: HTTP 200 came with a body that is not JSON");
    expect(error.kind).toBe("unavailable");
    expect(Bun.inspect(error) + Bun.inspect(error.cause)).not.toContain("hvs.secret");
    expect(sent).toBe(1);
  });

  test.each([
    ["nothing", ""],
    ["blanks", " \r\n"],
    ["null", "null"],
    ["a list", '["data"]'],
    ["a text", '"data"'],
    ["a number", "7"],
  ])("refuses %s if fields are needed", async (_what, body) => {
    await using server = startScripted(() => new Response(body));
    const failure = await failureOf(() => createVaultClient({ address: server.address }).ask(get()));
    expect(failure.message).toBe("the answer to GET sys/mounts is not a JSON object");
    expect(failure.kind).toBe("unavailable");
    expect(failure.hint).toContain("check VAULT_ADDR");
  });

  test.each([
    ["HTTP 204", () => new Response(null, { status: 204 })],
    ["an empty HTTP 200", () => new Response("")],
  ])("accepts %s if no fields are needed", async (_what, answer) => {
    await using server = startScripted(answer);
    expect(await createVaultClient({ address: server.address }).request(get())).toBeUndefined();
  });

  test.each([
    [403, ""],
    [403, '{"message": "forbidden"}'],
    [404, ""],
    [404, '{"message": "not found"}'],
    [404, '{"errors": "none"}'],
    [404, "[]"],
  ])("does not believe that Vault sent HTTP %d with %j", async (status, body) => {
    const { error } = await failed(() => new Response(body, { status }));
    expect(error.message).toBe(`GET sys/mounts: HTTP ${status} came without the errors that Vault lists`);
    expect(error.hint).toContain("any proxy on the way");
    expect(error.kind).toBe("unavailable");
  });

  test.each([
    ["an empty one", () => new Response("", { status: 404 })],
    ["a page", () => html(404)],
  ])("does not read a proxy's 404, %s, as an empty path", async (_what, answer) => {
    await using server = startScripted(answer);
    const client = createVaultClient({ address: server.address });
    const error = await vaultErrorOf(() => readData(client, "demo/secrets/service-accounts"));
    expect(error.status).toBe(404);
  });
});

describe("client.ask() on a body without end", () => {
  const mebibyte = Buffer.alloc(1024 * 1024, " ");

  test("stops reading 100 MB and ends the connection", async () => {
    let written = 0;
    await using server = await startRaw({
      onRequest(socket) {
        const more = () => {
          while (written < 100 && socket.write(mebibyte)) written++;
        };
        socket.on("drain", () => {
          written++;
          more();
        });
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * mebibyte.length}\r\n\r\n`);
        more();
      },
    });
    const error = await vaultErrorOf(() => createVaultClient({ address: server.address }).ask(get()));
    expect(error.message).toBe("GET sys/mounts: the answer is longer than 8 MiB");
    expect(error.kind).toBe("unavailable");
    await until(() => server.closed === 1);
    // The bytes in the system's buffers count as sent.
    expect(written).toBeLessThan(40);
    expect(server.requests).toBe(1);
  });

  test("stops reading 100 MB that were compressed to 100 kB", async () => {
    const packed = Bun.gzipSync(Buffer.alloc(100 * mebibyte.length, " "));
    expect(packed.length).toBeLessThan(1_000_000);
    const { error } = await failed(() => new Response(packed, { headers: { "Content-Encoding": "gzip" } }));
    expect(error.message).toContain("longer than 8 MiB");
  });

  test("reads 7 MiB", async () => {
    const text = "a".repeat(7 * mebibyte.length);
    await using server = startScripted(() => Response.json({ text }));
    const answer = await createVaultClient({ address: server.address }).ask(get());
    expect(answer.string("text")).toHaveLength(text.length);
  });

  test("reads 9 MiB if the request allows a long list", async () => {
    const keys = ["a".repeat(9 * mebibyte.length)];
    await using server = startScripted(() => Response.json({ data: { keys } }));
    expect(await listNames(createVaultClient({ address: server.address }), "x")).toEqual(keys);
  });
});

describe("client.ask() on JSON that costs more than its bytes", () => {
  const answer = (text: string) => () => new Response(text);

  test.each([
    ["nested too deep", "[".repeat(4 * 1024 * 1024)],
    ["nested too deep", `{"data":${'{"a":'.repeat(300)}1${"}".repeat(301)}`],
    ["made of too many values", `{"data":{"keys":[${"{},".repeat(600_000)}{}]}}`],
  ])("says that it is %s", async (excess, text) => {
    const { error, sent } = await failed(answer(text));
    expect([error.message, error.kind, sent]).toEqual([
      `GET sys/mounts: the answer is ${excess}`,
      "unavailable",
      1,
    ]);
  });

  test("tries again if a failing proxy sent it", async () => {
    const { error, sent } = await failed(() => new Response("[".repeat(1000), { status: 503 }));
    expect([error.kind, sent]).toEqual(["temporary", 3]);
  });

  test("reads JSON as deep as people write it, and a list of a million names", async () => {
    const deep = `{"data":${'{"a":'.repeat(150)}1${"}".repeat(151)}`;
    const names = Array.from({ length: 1_000_000 }, (_, i) => `a-name-${i}`);
    await using server = startScripted(({ path }) =>
      path.includes("list=true") ? Response.json({ data: { keys: names } }) : new Response(deep),
    );
    const client = createVaultClient({ address: server.address });
    expect((await readData(client, "it"))?.fields.a).toBeObject();
    expect((await listNames(client, "it")).length).toBe(names.length);
  });
});
