import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { scriptPath } from "../support/script.ts";
import { startRaw } from "../support/scripted.ts";
import { until } from "../support/wait.ts";

const token = "hvs.CANARY0123456789abcdef";

/** A script that has sent its token and waits for an answer that never comes. */
async function startWaiting(script: string, args: readonly string[], folder: string) {
  const server = await startRaw({});
  await Bun.write(join(folder, "token"), token);
  const path = await scriptPath(script);
  // The shell removes the limit and becomes the script.
  const child = Bun.spawn(["sh", "-c", 'ulimit -c unlimited; exec "$0" "$@"', path, ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? "",
      HOME: folder,
      VAULT_ADDR: server.address,
      VAULT_TOKEN_FILE: join(folder, "token"),
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  await until(() => server.requests > 0);
  return { child, server };
}

const scripts: ReadonlyArray<readonly [name: string, args: readonly string[]]> = [
  ["setup-mounts", ["demo"]],
  ["write-roles", ["demo"]],
  ["renew-token", ["--config-path", "."]],
  ["issue-cert", ["demo/pki/etcd-k8s/sign/server", "etcd-1", "etcd"]],
];

describe.each(scripts)("%s, while it holds a token,", (script, args) => {
  test("shows none in /proc, and keeps its memory out of core dumps", async () => {
    using folder = temporaryFolder();
    const { child, server } = await startWaiting(script, args, folder.path);
    await using _ = server;
    const proc = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, "latin1");
    expect(proc("cmdline")).toContain(script);
    for (const name of ["cmdline", "environ", "comm", "status"]) expect(proc(name)).not.toContain(token);
    expect(proc("coredump_filter").trim()).toBe("00000000");
    child.kill("SIGKILL");
    await child.exited;
  });

  test.each(["SIGSEGV", "SIGABRT"] as const)("and ends by %s, leaves it nowhere", async (signal) => {
    using folder = temporaryFolder();
    const { child, server } = await startWaiting(script, args, folder.path);
    await using _ = server;
    child.kill(signal);
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    expect(child.signalCode).toBe(signal);
    expect(stdout + stderr).not.toContain(token);
    // If the system puts core files elsewhere, only the filter can be checked, which the other test does.
    for (const name of readdirSync(folder.path).filter((it) => it.startsWith("core"))) {
      expect(readFileSync(join(folder.path, name), "latin1")).not.toContain(token);
    }
  });
});
