import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateFiles, makeCertificates } from "../support/certificates.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { startRaw, startScripted } from "../support/scripted.ts";

const token = "hvs.CANARY0123456789abcdef";
const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
writeFileSync(join(folder.path, "token"), token, { mode: 0o600 });

let tls: CertificateFiles;
beforeAll(() => {
  tls = makeCertificates(folder.path, "server");
});

const admin = { VAULT_TOKEN: token };
/** Scripts that send a token. */
const scripts: ReadonlyArray<
  readonly [script: string, args: readonly string[], env: Readonly<Record<string, string>>]
> = [
  ["setup-mounts", ["demo"], admin],
  ["write-roles", ["demo"], admin],
  ["renew-token", ["--config-path", folder.path], {}],
  ["issue-cert", ["demo/pki/etcd-k8s/sign/server", "etcd-1", join(folder.path, "etcd")], admin],
];

const denied = () => Response.json({ errors: ["permission denied"] }, { status: 403 });

describe.each(scripts)("%s sends its token only to the given server:", (script, args, env) => {
  test("a redirect from https to http is refused", async () => {
    await using plain = startScripted(denied);
    await using server = startScripted(({ path }) => Response.redirect(plain.address + path, 307), tls);
    const run = await runScript(script, args, {
      env: { ...env, VAULT_ADDR: server.address, VAULT_CACERT: tls.caFile, VAULT_MAX_RETRIES: "0" },
    });
    expect(run.stderr).toContain(`redirects to ${plain.address}, which is not followed`);
    expect(run.code).toBe(69);
    expect(server.seen[0]?.headers.get("x-vault-token")).toBe(token);
    expect(plain.seen).toEqual([]);
  });

  test("a redirect to another path is refused, and no URL contains the token", async () => {
    await using other = startScripted(denied);
    await using server = startScripted(() => Response.redirect(`${other.address}/login`, 307));
    const run = await runScript(script, args, {
      env: { ...env, VAULT_ADDR: server.address, VAULT_MAX_RETRIES: "0" },
    });
    expect(run.stderr).toContain("redirects to another path on");
    expect(run.code).toBe(69);
    expect(server.seen.every(({ path }) => !path.includes(token))).toBe(true);
    expect(other.seen).toEqual([]);
  });

  test("VAULT_SKIP_VERIFY causes a warning each time", async () => {
    await using server = startScripted(denied, tls);
    for (let i = 0; i < 2; i++) {
      const run = await runScript(script, args, {
        env: { ...env, VAULT_ADDR: server.address, VAULT_SKIP_VERIFY: "1" },
      });
      expect(run.stderr).toContain(
        `${script}: VAULT_SKIP_VERIFY is set: any server that answers is trusted and gets the token\n`,
      );
      expect(run.code).toBe(77);
    }
    expect(server.seen.length).toBeGreaterThan(0);
  });

  test("http to another machine causes a warning", async () => {
    // A proxy on the loopback accepts it, so nothing leaves this machine.
    const answer = JSON.stringify({ errors: ["permission denied"] });
    const head = `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n\r\n`;
    await using proxy = await startRaw({ onRequest: (socket) => void socket.write(head + answer) });
    const address = "http://vault.test:8200";
    const run = await runScript(script, args, {
      env: { ...env, VAULT_ADDR: address, HTTP_PROXY: proxy.address, http_proxy: proxy.address },
    });
    expect(run.stderr).toContain(
      `${script}: ${address} is not encrypted: anyone on the network path can read the token\n`,
    );
    expect(run.code).toBe(77);
    expect(proxy.requests).toBeGreaterThan(0);
  });

  test("http to this machine causes no warning", async () => {
    await using server = startScripted(denied);
    for (const host of ["127.0.0.1", "localhost"]) {
      const address = server.address.replace("127.0.0.1", host);
      const run = await runScript(script, args, { env: { ...env, VAULT_ADDR: address } });
      expect(run.stderr).not.toContain("not encrypted");
      expect(run.code).toBe(77);
    }
  });
});

describe("VAULT_TOKEN_FILE serves instead of VAULT_TOKEN:", () => {
  let server: ClusterServer;
  let env: Record<string, string>;
  beforeAll(async () => {
    server = await startCluster();
    const path = join(folder.path, "admin-token");
    writeFileSync(path, `${server.rootToken}\n`, { mode: 0o600 });
    env = { VAULT_ADDR: server.address, VAULT_TOKEN_FILE: path };
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test.each(["setup-mounts", "write-roles"])("%s", async (script) => {
    expect(await runScript(script, ["demo"], { env })).toMatchObject({ code: 0, stderr: "" });
  });

  test("issue-cert", async () => {
    const destination = join(folder.path, "by-file");
    const args = ["demo/pki/etcd-k8s/sign/server", "etcd-1", destination];
    expect(await runScript("issue-cert", args, { env })).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(`${destination}.pem`)).toBe(true);
  });
});
