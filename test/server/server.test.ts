import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { type Answer, ask, type Endpoint } from "../../lib/server/http.ts";
import type { Server } from "../../lib/server/server.ts";
import { startServer } from "../../lib/server/start-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { isRunning, until } from "../support/wait.ts";

const SERVER_MODULE = resolve(import.meta.dir, "../../lib/server/start-server.ts");

function get(server: Server, path: string): Promise<Answer> {
  return ask(server, "GET", path, { token: server.rootToken });
}

function writeAPolicy(server: Server): Promise<Answer> {
  const body = { policy: 'path "a" { capabilities = ["read"] }' };
  return ask(server, "POST", "sys/policies/acl/mine", { token: server.rootToken, body });
}

/** Whether anything listens there. The answer does not matter. */
async function isReachable(endpoint: Endpoint): Promise<boolean> {
  try {
    await ask(endpoint, "GET", "sys/health");
    return true;
  } catch {
    return false;
  }
}

describe("startServer() in memory", () => {
  test("is ready, and is removed with its folder at the end", async () => {
    const server = await startServer({ mode: "dev" });
    const { pid, dataDir } = server;
    expect((await get(server, "auth/token/lookup-self")).status).toBe(200);
    expect(server.log(1000)).toContain("server started!");
    await server[Symbol.asyncDispose]();
    expect(pid && isRunning(pid)).toBe(false);
    expect(server.pid).toBeUndefined();
    expect(existsSync(dataDir)).toBe(false);
    expect(await isReachable(server)).toBe(false);
  });

  test("runs beside other servers, with the requested root token", async () => {
    const servers = await Promise.all(
      ["one", "two", "three"].map((rootToken) => startServer({ mode: "dev", rootToken })),
    );
    for (const server of servers) {
      expect((await get(server, "auth/token/lookup-self")).status).toBe(200);
      await server[Symbol.asyncDispose]();
    }
    expect(new Set(servers.map((server) => server.address)).size).toBe(3);
  });

  test("has TLS with its own CA", async () => {
    await using server = await startServer({ mode: "dev-tls" });
    expect(server.address).toStartWith("https://");
    expect((await get(server, "auth/token/lookup-self")).status).toBe(200);
    expect(await isReachable({ address: server.address })).toBe(false);
  });

  test("keeps a folder that the caller gave", async () => {
    using folder = temporaryFolder();
    const server = await startServer({ mode: "dev", dataDir: folder.path });
    await server[Symbol.asyncDispose]();
    expect(readdirSync(folder.path)).toEqual(["server.log"]);
  });

  test("says why a server doesn't start, and leaves nothing behind", async () => {
    const promise = startServer({ mode: "dev", binary: { path: "/bin/false", kind: "vault" } });
    await expect(promise).rejects.toThrow(Failure);
    await expect(promise).rejects.toThrow("/bin/false ended by itself");
  });
});

describe("startServer() with raft storage", () => {
  test("keeps its data when it is sealed, stopped and killed", async () => {
    await using server = await startServer({ mode: "raft" });
    expect((await writeAPolicy(server)).status).toBe(204);

    await server.seal();
    expect((await get(server, "sys/policies/acl/mine")).status).toBe(503);
    await server.unseal();
    expect((await get(server, "sys/policies/acl/mine")).status).toBe(200);

    for (const end of [server.stop, server.kill]) {
      await end();
      expect(await isReachable(server)).toBe(false);
      await server.start();
      expect((await get(server, "sys/policies/acl/mine")).status).toBe(200);
    }
  });

  test("opens the folder of an earlier start", async () => {
    using folder = temporaryFolder();
    const first = await startServer({ mode: "raft", dataDir: folder.path });
    await writeAPolicy(first);
    await first[Symbol.asyncDispose]();

    await using second = await startServer({ mode: "raft", dataDir: folder.path });
    expect((await get(second, "sys/policies/acl/mine")).status).toBe(200);
  });

  test("joins a cluster, over TLS with client certificates, and takes over", async () => {
    using folder = temporaryFolder();
    const tls = await makeCertificates(folder.path);
    await using leader = await startServer({ mode: "raft", tls });
    expect(await isReachable({ address: leader.address, caFile: tls.caFile })).toBe(false);

    await using second = await startServer({ mode: "raft", tls, join: leader });
    await using third = await startServer({ mode: "raft", tls, join: leader });
    expect([await leader.isActive(), await second.isActive(), await third.isActive()]).toEqual([
      true,
      false,
      false,
    ]);
    await writeAPolicy(leader);
    await leader.kill();
    await until(async () => (await second.isActive()) || (await third.isActive()));
    expect((await get(second, "sys/policies/acl/mine")).status).toBe(200);

    await leader.start();
    expect(await leader.isActive()).toBe(false);
  });
});

describe("a server and its folder are removed with its parent:", () => {
  test.each([
    ["killed", 'process.kill(process.pid, "SIGKILL")'],
    ["that throws", 'throw new Error("by intent")'],
    ["that exits", "process.exit(0)"],
  ])("one %s", async (_how, end) => {
    const code = `
      const { startServer } = await import(${JSON.stringify(SERVER_MODULE)});
      const { pid, dataDir, address } = await startServer({ mode: "dev" });
      await Bun.write(Bun.stdout, JSON.stringify({ pid, dataDir, address }));
      ${end}`;
    const parent = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "ignore" });
    const { pid, dataDir, address } = JSON.parse(await parent.stdout.text());
    await parent.exited;
    await until(() => !isRunning(pid) && !existsSync(dataDir));
    expect(await isReachable({ address })).toBe(false);
  });
});

/** A certificate for the loopback with its own CA. It is also the client's certificate. */
async function makeCertificates(folder: string) {
  const [caFile, caKey, certFile, keyFile] = ["ca.pem", "ca.key", "cert.pem", "cert.key"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  await openssl("req", "-x509", ...ec, "-subj", "/CN=test CA", "-keyout", caKey, "-out", caFile);
  const extensions = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
  const signer = ["-CA", caFile, "-CAkey", caKey, "-subj", "/CN=server"];
  await openssl("req", "-x509", ...ec, ...signer, ...extensions, "-keyout", keyFile, "-out", certFile);
  return { caFile, certFile, keyFile, client: { certFile, keyFile } };
}

async function openssl(...args: string[]) {
  const run = Bun.spawn(["openssl", ...args], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const [errors, code] = await Promise.all([run.stderr.text(), run.exited]);
  if (code !== 0) throw new Error(errors);
}
