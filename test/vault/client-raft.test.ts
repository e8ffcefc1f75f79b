import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { RaftServer } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import type { TlsOptions } from "../../lib/vault/connection.ts";
import { type CertificateFiles, makeCertificates } from "../support/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { createOnce, get, vaultErrorOf } from "../support/vault.ts";

describe("a server that requires a client certificate", () => {
  const folder = temporaryFolder();
  const own: CertificateFiles = makeCertificates(folder.path, "vault");
  const foreign = makeCertificates(folder.path, "foreign");
  let server: RaftServer;

  beforeAll(async () => {
    server = await startServer({ mode: "raft", tls: { ...own, client: own } });
  }, 30_000);
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  function client(tls: TlsOptions, onRetry = () => {}) {
    return createVaultClient({ address: server.address, token: server.rootToken, tls, onRetry });
  }

  test("serves a client that has one", async () => {
    const { ca, cert, key } = own;
    expect(await client({ ca: [ca], cert, key }).request(get())).toHaveProperty("data");
  });

  test.each([
    ["without one", {}],
    ["with one of another CA", { cert: foreign.cert, key: foreign.key }],
  ])("refuses a client %s, for good", async (_what, certificate) => {
    let retries = 0;
    const refused = client({ ca: [own.ca], ...certificate }, () => retries++);
    const error = await vaultErrorOf(() => refused.request(get()));
    expect(error.hint).toContain("VAULT_CLIENT_CERT");
    expect(error.kind).toBe("unavailable");
    expect(retries).toBe(0);
  });

  test("is accepted only by the name in its certificate", async () => {
    const { ca, cert, key } = own;
    const address = server.address.replace("127.0.0.1", "localhost");
    const byName = createVaultClient({ address, tls: { ca: [ca], cert, key } });
    const error = await vaultErrorOf(() => byName.request(get()));
    expect(error.message).toContain("shows a certificate for another name");
    expect(error.kind).toBe("unavailable");
    const { rootToken: token } = server;
    const named = createVaultClient({
      address,
      token,
      tls: { ca: [ca], cert, key, serverName: "127.0.0.1" },
    });
    expect(await named.request(get())).toHaveProperty("data");
  });

  test("can't be used while it is sealed, and works again afterwards", async () => {
    const { ca, cert, key } = own;
    let retries = 0;
    const sealed = client({ ca: [ca], cert, key }, () => retries++);
    await sealed.request(get());
    await server.seal();
    const error = await vaultErrorOf(() => sealed.request(createOnce()));
    expect(error.status).toBe(503);
    expect(error.message).toContain("Vault is sealed");
    expect(error.hint).toContain("unseal");
    expect(error.kind).toBe("temporary");
    expect(retries).toBe(2);
    await server.unseal();
    expect(await sealed.request(get())).toHaveProperty("data");
  }, 30_000);

  test("is reached by the same client after a restart", async () => {
    const { ca, cert, key } = own;
    const kept = client({ ca: [ca], cert, key });
    await kept.request(get());
    await server.stop();
    const error = await vaultErrorOf(() => kept.request(get()));
    expect(error.kind).toBe("temporary");
    await server.start();
    expect(await kept.request(get())).toHaveProperty("data");
  }, 30_000);
});
