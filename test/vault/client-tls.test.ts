import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { serverSettings } from "../../lib/cli/environment.ts";
import type { Server } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import type { TlsOptions } from "../../lib/vault/connection.ts";
import { makeCertificates } from "../support/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { get, vaultErrorOf } from "../support/vault.ts";

let server: Server;
let ca: string;
const folder = temporaryFolder();
const foreign = makeCertificates(folder.path, "foreign");

beforeAll(async () => {
  server = await startServer({ mode: "dev-tls" });
  ca = readFileSync(server.caFile ?? "", "utf8");
});
afterAll(async () => {
  folder[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

function request(tls: TlsOptions): Promise<unknown> {
  return createVaultClient({ address: server.address, token: server.rootToken, tls }).request(get());
}

function systemCas(): readonly string[] {
  return serverSettings({ VAULT_ADDR: server.address }).tls.ca ?? [];
}

describe("createVaultClient() over TLS", () => {
  test("trusts the given CA", async () => {
    expect(await request({ ca: [ca] })).toHaveProperty("data");
  });

  test("trusts each of several", async () => {
    expect(await request({ ca: [foreign.ca, ca] })).toHaveProperty("data");
  });

  test.each([
    ["another CA", () => [foreign.ca]],
    ["the system's CAs", systemCas],
    ["none", () => []],
  ])("does not trust the server with %s", async (_what, cas) => {
    let retries = 0;
    const client = createVaultClient({
      address: server.address,
      token: server.rootToken,
      tls: { ca: cas() },
      onRetry: () => retries++,
    });
    const error = await vaultErrorOf(() => client.request(get()));
    expect(error.message).toContain("shows a certificate that no trusted CA has signed");
    expect(error.hint).toContain("VAULT_CACERT");
    expect(error.kind).toBe("unavailable");
    expect(retries).toBe(0);
  });

  test("is not fooled by an earlier request with the right CA", async () => {
    await request({ ca: [ca] });
    expect((await vaultErrorOf(() => request({ ca: [foreign.ca] }))).kind).toBe("unavailable");
    await request({ skipVerify: true });
    expect((await vaultErrorOf(() => request({}))).kind).toBe("unavailable");
  });

  test("expects the given server name", async () => {
    expect(await request({ ca: [ca], serverName: "localhost" })).toHaveProperty("data");
    const error = await vaultErrorOf(() => request({ ca: [ca], serverName: "vault.test" }));
    expect(error.message).toContain("shows a certificate for another name");
    expect(error.hint).toContain("VAULT_TLS_SERVER_NAME");
    expect(error.kind).toBe("unavailable");
  });

  test("accepts any certificate with skipVerify", async () => {
    expect(await request({ skipVerify: true })).toHaveProperty("data");
    expect(await request({ ca: [foreign.ca], skipVerify: true })).toHaveProperty("data");
  });

  test("says that the CA file may hold no certificate", async () => {
    const error = await vaultErrorOf(() => request({ ca: ["nothing that is PEM"] }));
    expect(error.hint).toContain("the CA files and the client certificate's files");
  });

  test("says that the server expects TLS", async () => {
    const address = server.address.replace("https:", "http:");
    const error = await vaultErrorOf(() => createVaultClient({ address }).request(get()));
    expect(error.message).toContain("plain HTTP was sent to a server that expects TLS");
    expect(error.hint).toContain("https://");
    expect(error.kind).toBe("unavailable");
  });
});

describe("serverSettings() for a real server", () => {
  const settingsOf = (env: Record<string, string>) => serverSettings({ VAULT_ADDR: server.address, ...env });

  test.each(["VAULT_CACERT", "BAO_CACERT", "VAULT_CAPATH"])("has its CA trusted by %s", async (name) => {
    const settings = settingsOf({ [name]: server.caFile ?? "" });
    expect(await createVaultClient({ ...settings, token: server.rootToken }).request(get())).toHaveProperty(
      "data",
    );
  });

  test("has its CA trusted by SSL_CERT_FILE", async () => {
    const settings = settingsOf({ SSL_CERT_FILE: server.caFile ?? "" });
    expect(await createVaultClient({ ...settings, token: server.rootToken }).request(get())).toHaveProperty(
      "data",
    );
  });

  test("expects the name in VAULT_TLS_SERVER_NAME", async () => {
    const settings = settingsOf({ VAULT_CACERT: server.caFile ?? "", VAULT_TLS_SERVER_NAME: "vault.test" });
    const error = await vaultErrorOf(() => createVaultClient(settings).request(get()));
    expect(error.message).toContain("shows a certificate for another name");
  });
});
