import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, scriptPath } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Runs the tool with its standard output redirected. @returns its own exit code, not the reader's */
async function led(where: string, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const tool = await scriptPath("vault-helper");
  const shell = ["bash", "-c", `"$@" ${where}; exit "\${PIPESTATUS[0]}"`, "bash"];
  return await runCommand([...shell, tool, ...words], { env });
}

/** @param called how the command was called: its messages start with it */
const full = (called: string) => `${called}: can't write to /dev/stdout: the disk is full (ENOSPC)\n`;

describe("standard output on a full disk", () => {
  test.each([
    [["--help"], "vault-helper"],
    [["version"], "vault-helper"],
    [["help", "status"], "vault-helper"],
    [["status", "--help"], "vault-helper status"],
    [["cert", "-v"], "vault-helper cert"],
    [["status", "--offline", "-p", "/nonexistent"], "vault-helper status"],
    [["status", "--offline", "-p", "/nonexistent", "--json"], "vault-helper status"],
  ])("is reported once by %j, which ends with 73", async (words, called) => {
    expect(await led("> /dev/full", words)).toEqual({ code: 73, stdout: "", stderr: full(called) });
  });

  test("leaves a run's work done, and an error of its own unchanged", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd");
    const issue = ["issue-cert", "--config-path", host.config, "--config-dir", host.certs];
    const { code, stderr } = await led("> /dev/full", issue, host.env);
    expect({ code, stderr }).toEqual({ code: 73, stderr: full("vault-helper issue-cert") });
    expect(host.file("etcd.pem")).toStartWith("-----BEGIN CERTIFICATE-----");
    host.write("other");
    host.write("bad", 'sign_path = "demo/pki/k8s/sign/admin"');
    const worse = await led("> /dev/full", issue, host.env);
    expect(worse.code).toBe(77);
    expect(worse.stderr).toEndWith(full("vault-helper issue-cert"));
    expect(host.file("other.pem")).toStartWith("-----BEGIN CERTIFICATE-----");
  });

  test("does not matter to a run that prints nothing", async () => {
    await using host = await startManifestHost(cluster);
    const renew = ["renew-token", "-l0", "--config-path", host.config];
    expect(await led("> /dev/full", renew, host.env)).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});

describe("a reader that has gone", () => {
  test.each([
    [["--help"], 0],
    [["status", "--help"], 0],
    [["status", "--offline", "-p", "/nonexistent"], 1],
    [["status", "--offline", "-p", "/nonexistent", "--json"], 1],
  ])("does not matter to %j, which ends with its own code", async (words, code) => {
    // The write comes when nobody reads any more.
    using folder = temporaryFolder();
    const gone = join(folder.path, "gone");
    const reader = `> >(exec < /dev/null; touch ${gone})`;
    const tool = await scriptPath("vault-helper");
    const script = `exec 3>&1 ${reader}; until test -e ${gone}; do sleep 0.01; done; exec "$@"`;
    expect(await runCommand(["bash", "-c", script, "bash", tool, ...words])).toEqual({
      code,
      stdout: "",
      stderr: "",
    });
  });
});
