import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { join } from "node:path";
import { createVaultClient } from "../../lib/vault/client.ts";
import { makeCa, makeLeaf } from "../support/chain.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

const folder = temporaryFolder();
const ca = makeCa(folder.path, "ca");
const foreign = makeCa(folder.path, "foreign");
const leaf = makeLeaf(folder.path, "leaf", ca);
afterAll(() => folder[Symbol.dispose]());

/** Like some load balancers, it refuses the handshake of a client that offers only HTTP/1.1. */
async function start(status = 200) {
  const seen: string[] = [];
  const { cert, key } = leaf;
  const server = createSecureServer({ cert, key, allowHTTP1: false }, (request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers["x-vault-token"]}`);
    response.writeHead(status, { "content-type": "application/json" });
    const auth = { client_token: "hvs.secret", accessor: "a", lease_duration: 3600, renewable: true };
    response.end(JSON.stringify(status === 200 ? { data: { value: "yes" }, auth } : { errors: [] }));
  });
  let connections = 0;
  server.on("connection", () => {
    connections++;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = server.address();
  return {
    seen,
    get connections() {
      return connections;
    },
    address: `https://127.0.0.1:${typeof at === "object" && at !== null ? at.port : 0}`,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function read(address: string, caFile: string): Promise<ScriptResult> {
  const env = { VAULT_ADDR: address, VAULT_CACERT: caFile, VAULT_TOKEN: "hvs.secret" };
  return await runScript("read-secret", ["-p", folder.path, "-f", "value", "kv/a"], { env });
}

describe("a server that speaks HTTP/2 alone", () => {
  test("is asked over HTTP/2", async () => {
    await using server = await start();
    expect(await read(server.address, ca.file)).toEqual({ code: 0, stdout: "yes", stderr: "" });
    expect(server.seen).toEqual(["GET /v1/kv/a hvs.secret"]);
  });

  test("is asked over HTTP/2 from the start the next time", async () => {
    await using server = await start();
    const client = createVaultClient({
      address: server.address,
      tls: { ca: [readFileSync(ca.file, "utf8")] },
    });
    const read = { method: "GET", path: "kv/a", capability: "read", repeatable: true } as const;
    await client.request(read);
    const first = server.connections;
    for (let time = 0; time < 3; time++) await client.request(read);
    expect(server.seen).toHaveLength(4);
    // The refused handshake, and the connection that all requests go over.
    expect([first, server.connections]).toEqual([2, 2]);
  });

  test("renews a host token", async () => {
    await using server = await start();
    writeFileSync(join(folder.path, "token"), "hvs.secret", { mode: 0o600 });
    const env = { VAULT_ADDR: server.address, VAULT_CACERT: ca.file };
    expect(await runScript("renew-token", ["-p", folder.path], { env })).toMatchObject({ code: 0 });
    expect(server.seen).toContain("POST /v1/auth/token/renew-self hvs.secret");
  });

  test("is trusted for its certificate, like any other", async () => {
    await using server = await start();
    const { code, stderr } = await read(server.address, foreign.file);
    expect([code, stderr]).toEqual([69, expect.stringContaining('its issuer is "CN=ca"')]);
    const other = await read(server.address.replace("127.0.0.1", "localhost"), ca.file);
    expect([other.code, other.stderr]).toEqual([69, expect.stringContaining("for another name")]);
    expect(server.seen).toEqual([]);
  });

  test("has its refusals understood", async () => {
    await using server = await start(404);
    const { code, stderr } = await read(server.address, ca.file);
    expect([code, stderr]).toEqual([69, expect.stringContaining("nothing is stored at kv/a")]);
  });
});
