import { afterAll, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { runCommand, scriptPath } from "../support/script.ts";
import { modeOf } from "../support/tree.ts";
import { commonName, issue, kubelet, startWorkerOf } from "./worker.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

test("a valid certificate needs no write, and a write that fails is only a note", async () => {
  await using host = await startWorkerOf(cluster);
  expect((await issue(host)).code).toBe(0);
  const { destination } = host;
  chmodSync(`${destination}-key.pem`, 0o644);
  const words = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"';
  const unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c", words, "-"];
  const flags = ["--config-path", host.config, "--if-due", "--refresh-ca"];
  const command = [await scriptPath("issue-cert"), ...flags, kubelet, commonName, destination];
  const run = await runCommand([...unshare, dirname(destination), ...command], { env: host.env });
  expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining("is not due") });
  const notes = run.stderr.split("\n").filter((line) => line.includes("the file system is read-only"));
  expect(new Set(notes).size).toBe(2);
  expect(modeOf(`${destination.replace(/([^/]+)$/, ".$1.set/current/key.pem")}`)).toBe("644");
  // If the write is possible, it is done.
  expect((await issue(host, "--if-due")).stderr).toMatch(/owner and mode of .* were set again/);
});
