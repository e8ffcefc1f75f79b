import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { runCommand, scriptPath } from "../support/script.ts";
import { modeOf } from "../support/tree.ts";
import { kubelet, startWorkerOf } from "./worker.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Runs one command with the folder of the host's tokens mounted read-only. */
async function runReadOnly(host: Host, script: string, ...args: string[]) {
  const words = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
  const unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", words, "-", host.config];
  const command = [await scriptPath(script), "--config-path", host.config, ...args];
  return await runCommand([...unshare, ...command], { env: host.env });
}

describe("in a read-only folder of tokens", () => {
  test("a token whose file others may read is renewed and used, with a note", async () => {
    await using host = await startWorkerOf(cluster);
    const token = join(host.config, "token");
    chmodSync(token, 0o644);
    const words = `can't narrow the mode of ${token}: the file system is read-only (EROFS); others may read the token in it\n`;
    const renewed = await runReadOnly(host, "renew-token");
    expect(renewed).toMatchObject({ code: 0, stdout: expect.stringContaining("token renewed") });
    expect(renewed.stderr).toBe(`renew-token: ${words}`);
    const issued = await runReadOnly(host, "issue-cert", kubelet, "system:node:a", host.destination);
    expect(issued).toMatchObject({ code: 0, stderr: `issue-cert: ${words}` });
    expect(modeOf(token)).toBe("644");
    // If the mode can be narrowed, it is.
    expect((await host.run("renew-token")).stderr).toContain("its mode is 0600 now");
  });

  test("an init token left over from an exchange stays, and the token is renewed", async () => {
    await using host = await startWorkerOf(cluster);
    host.put("init-token", await cluster.initToken("worker"));
    const path = join(host.config, "init-token");
    utimesSync(path, 1000, 1000);
    const renewed = await runReadOnly(host, "renew-token");
    expect(renewed).toMatchObject({ code: 0, stdout: expect.stringContaining("token renewed") });
    expect(renewed.stderr).toContain(`can't remove the init token ${path}: the file system is read-only`);
    expect((await host.run("renew-token")).stderr).toBe("");
    expect(existsSync(path)).toBe(false);
  });

  test("an exchange keeps the init token, because the host token can't be stored", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const exchanged = await runReadOnly(host, "renew-token");
    expect([exchanged.code, exchanged.stderr]).toEqual([73, expect.stringContaining("and was revoked")]);
    expect((await host.run("renew-token")).stdout).toContain("init token exchanged");
  });
});
