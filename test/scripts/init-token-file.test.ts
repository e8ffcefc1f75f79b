import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { api } from "../cluster/api.ts";
import { relayedServer } from "../support/dev-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, runScript, type ScriptResult, scriptPath } from "../support/script.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
await runScript("setup-mounts", ["demo"], { env });

function file(name: string, content: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

async function write(...args: string[]): Promise<ScriptResult> {
  return await runScript("write-roles", [...args, "demo"], { env, cwd: folder.path });
}

async function stored(role: string): Promise<unknown> {
  return (await admin.read(`demo/secrets/init_token_${role}`))?.init_token;
}

describe("write-roles --init-token-file", () => {
  test("takes init tokens from files and from standard input, and prints none of them", async () => {
    const [worker, etcd] = [file("worker", "worker-secret\n"), file("etcd", "  etcd-secret")];
    const flags = ["--init-token-file", `worker=${worker},etcd=${etcd}`, "--init-token-file=all=-", "-l2"];
    const command = ["sh", "-c", 'echo all-secret | "$0" "$@"', await scriptPath("write-roles"), ...flags];
    const { code, stdout, stderr } = await runCommand([...command, "demo"], { env });
    expect([code, stderr]).toEqual([0, expect.stringContaining("write-roles")]);
    expect(stdout + stderr).not.toContain("-secret");
    expect(await Promise.all(["worker", "etcd", "all"].map(stored))).toEqual([
      "worker-secret",
      "etcd-secret",
      "all-secret",
    ]);
    expect(await write("--init-token-file", `worker=${worker}`)).toMatchObject({ code: 0 });
  });

  test.each([
    ["worker", 64, "has to be ROLE=FILE"],
    ["worker=", 64, "has to be ROLE=FILE"],
    ["=secret", 64, "has to be ROLE=FILE"],
    ["nobody=secret", 64, "has to be ROLE=FILE"],
    ["WORKER=secret", 64, "has to be ROLE=FILE"],
    ["worker=secret,worker=other", 64, "is given twice for worker"],
    ["worker=-,etcd=-", 64, "can use standard input for one host role only"],
    ["worker=missing", 78, "names missing for worker, where there is no token"],
    ["worker=empty", 78, "names empty for worker, where there is no token"],
    ["worker=-", 78, "names standard input for worker, where there is no token"],
    ["worker=two", 65, "holds something that is not a token"],
    ["worker=.", 65, "is not a plain file"],
    ["worker=reserved", 64, "--init-token-worker can't be the id of a token"],
    ["worker=same,etcd=same", 64, "are the same id"],
  ])("refuses %s before it asks the server", async (value, exit, sentence) => {
    for (const [name, content] of [
      ["secret", "a-secret"],
      ["other", "b-secret"],
      ["empty", "\n"],
      ["two", "c-secret d-secret"],
      ["reserved", "hvs.secret"],
      ["same", "e-secret"],
    ] as const)
      file(name, content);
    relay.reset();
    const { code, stdout, stderr } = await write(`--init-token-file=${value}`);
    expect(stderr).toContain(sentence);
    expect(stdout + stderr).not.toContain("-secret");
    expect(code).toBe(exit);
    expect(relay.passed).toEqual([]);
  });

  test("refuses an init token that is also on the command line", async () => {
    const path = file("again", "again-secret");
    const { code, stderr } = await write("--init-token-worker=x", `--init-token-file=worker=${path}`);
    expect(stderr).toContain("--init-token-worker and --init-token-file worker=… can't be used together");
    expect(code).toBe(64);
  });

  test("prints none when the runtime itself fails without /proc", async () => {
    const path = file("proc", "proc-secret");
    const words = 'mount -t tmpfs none /proc && exec "$@"';
    const unshare = ["unshare", process.getuid?.() === 0 ? "-m" : "-rm", "sh", "-c", words, "sh"];
    const call = [await scriptPath("write-roles"), "--init-token-file", `worker=${path}`, "demo"];
    const { stdout, stderr } = await runCommand([...unshare, ...call], { env });
    expect(stdout + stderr).not.toContain("proc-secret");
  });
});

test("setup takes --init-token-file as well", async () => {
  const path = file("setup", "master-secret");
  const args = ["setup", "--init-token-file", `master=${path}`, "whole"];
  expect(await runScript("vault-helper", args, { env })).toMatchObject({ code: 0 });
  expect((await admin.read("whole/secrets/init_token_master"))?.init_token).toBe("master-secret");
});
