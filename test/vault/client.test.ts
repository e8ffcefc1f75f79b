import { describe, expect, test } from "bun:test";
import { createVaultClient } from "../../lib/vault/client.ts";
import { failureOf } from "../support/failure.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { createOnce, get } from "../support/vault.ts";

describe("createVaultClient()", () => {
  test("reports each request that is sent", async () => {
    const told: string[] = [];
    await using server = startScripted(() => Response.json({}));
    const client = createVaultClient({
      address: server.address,
      onRequest: (method, path) => told.push(`${method} ${path}`),
    });
    await client.request(get());
    await client.request(createOnce());
    expect(told).toEqual(["GET sys/mounts", "POST auth/token/create/demo-worker"]);
  });

  test("sends the request's token instead of its own", async () => {
    await using server = startScripted(() => Response.json({}));
    const client = createVaultClient({ address: server.address, token: "hvs.own" });
    await client.request(get());
    await client.request({ ...get(), token: "hvs.other" });
    expect(server.seen.map(({ headers }) => headers.get("x-vault-token"))).toEqual(["hvs.own", "hvs.other"]);
  });

  test("sends no token and no namespace if it has none", async () => {
    await using server = startScripted(() => Response.json({}));
    await createVaultClient({ address: `${server.address}/` }).request(get());
    const [seen] = server.seen;
    expect(seen?.path).toBe("/v1/sys/mounts");
    expect(seen?.headers.has("x-vault-token")).toBe(false);
    expect(seen?.headers.has("x-vault-namespace")).toBe(false);
    expect(seen?.headers.get("x-vault-request")).toBe("true");
  });

  test.each([
    ["nothing", ""],
    ["a blank within", "hvs.sec ret"],
    ["a line feed after", "hvs.secret\n"],
    ["a header of its own", "hvs.secret\r\nX-Vault-Namespace: other"],
    ["a zero", "hvs.secret\0"],
    ["a letter that a header can't carry", "hvs.sécret"],
  ])("refuses a token and a namespace that holds %s", async (_what, text) => {
    await using server = startScripted(() => Response.json({}));
    const { address } = server;
    const failures = [
      await failureOf(() => createVaultClient({ address, token: text }).request(get())),
      await failureOf(() => createVaultClient({ address, namespace: text }).request(get())),
      await failureOf(() => createVaultClient({ address }).request({ ...get(), token: text })),
    ];
    for (const failure of failures) {
      expect(failure.message).toMatch(
        /^the (token|namespace) is empty, or holds a blank or an unprintable character/,
      );
      expect(failure.kind).toBe("data");
      expect(Bun.inspect(failure)).not.toContain("hvs.");
    }
    expect(server.seen).toHaveLength(0);
  });

  test("sends nothing to an invalid path", async () => {
    await using server = startScripted(() => Response.json({}));
    const failure = await failureOf(() =>
      createVaultClient({ address: server.address }).request(get("demo/../sys/seal")),
    );
    expect(failure.kind).toBe("usage");
    expect(server.seen).toHaveLength(0);
  });

  test.each(["", "vault", "127.0.0.1:8200", "//vault:8200", "ftp://vault", "unix:///run/vault", "https://"])(
    "refuses the address %p",
    async (address) => {
      const failure = await failureOf(() => createVaultClient({ address }));
      expect(failure.message).toBe(`${JSON.stringify(address)} is not the address of a server`);
      expect(failure.kind).toBe("config");
      expect(failure.hint).toContain("VAULT_ADDR");
    },
  );
});

describe("withToken()", () => {
  test("sends another token over the same connection, and keeps the client's own", async () => {
    const tokens: string[] = [];
    await using server = await startRaw({
      onRequest(socket, _number, text) {
        tokens.push(/x-vault-token: (\S+)/i.exec(text)?.[1] ?? "none");
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
      },
    });
    const client = createVaultClient({ address: server.address, token: "hvs.own" });
    const other = client.withToken("hvs.other");
    await client.request(get());
    await other.request(get());
    await other.ask({ ...get(), token: "hvs.third" });
    await client.request(get());
    expect(tokens).toEqual(["hvs.own", "hvs.other", "hvs.third", "hvs.own"]);
    expect(server.connections).toBe(1);
  });
});

describe("clockAheadMs()", () => {
  test("is unknown before the first answer, then follows its Date", async () => {
    await using server = startScripted((_seen, number) => {
      const date = new Date(Date.now() + (number === 1 ? 3_600_000 : -86_400_000)).toUTCString();
      return Response.json({}, { headers: { Date: date } });
    });
    const client = createVaultClient({ address: server.address });
    expect(client.clockAheadMs()).toBeUndefined();
    await client.request(get());
    expect(Math.abs((client.clockAheadMs() ?? 0) - 3_600_000)).toBeLessThan(2_000);
    expect(client.withToken("hvs.other").clockAheadMs()).toBe(client.clockAheadMs());
    await client.request(get());
    expect(Math.abs((client.clockAheadMs() ?? 0) + 86_400_000)).toBeLessThan(2_000);
  });

  test("stays the same after an answer without a Date", async () => {
    await using server = await startRaw({
      onRequest: (socket, number) => {
        const date = number === 1 ? `Date: ${new Date(Date.now() + 3_600_000).toUTCString()}\r\n` : "";
        socket.write(`HTTP/1.1 200 OK\r\n${date}Content-Length: 2\r\n\r\n{}`);
      },
    });
    const client = createVaultClient({ address: server.address });
    await client.request(get());
    const ahead = client.clockAheadMs();
    await client.request(get());
    expect(client.clockAheadMs()).toBe(ahead);
    expect(ahead).toBeGreaterThan(3_500_000);
  });
});
