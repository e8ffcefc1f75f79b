import { afterAll, describe, expect, test } from "bun:test";
import { startCluster } from "../support/cluster-server.ts";
import type { Host } from "../support/host.ts";
import { opensslEcKey } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";
import { treeOf } from "../support/tree.ts";
import { commonName, expectMatching, issue, issueAsAdmin, kubelet, startWorkerOf } from "./worker.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const startWorker = (fault?: Fault) => startWorkerOf(cluster, fault);
const issueAs = (host: Host, path: string, ...more: string[]) => issueAsAdmin(cluster, host, path, ...more);

describe("issue-cert says in one sentence why not, and leaves what stands:", () => {
  const cases: ReadonlyArray<
    readonly [name: string, args: (host: Host) => readonly string[], code: number, words: string]
  > = [
    [
      "a name that the role refuses",
      (host) => [kubelet, commonName, host.destination, "-s", "a.example.com"],
      65,
      "a.example.com not allowed by this role",
    ],
    [
      "a path whose role is missing, which the token may not use",
      (host) => ["demo/pki/k8s/sign/nothing", commonName, host.destination],
      77,
      '"create" and "update" on demo/pki/k8s/sign/nothing',
    ],
    [
      "a path that the token may not use",
      (host) => ["demo/pki/k8s/sign/admin", commonName, host.destination],
      77,
      "permission denied",
    ],
  ];
  test.each(cases)("%s", async (_name, args, code, words) => {
    await using host = await startWorker();
    await issue(host);
    const before = treeOf(host.path);
    const run = await host.run("issue-cert", args(host));
    expect([run.code, run.stdout]).toEqual([code, ""]);
    expect(run.stderr).toContain(words);
    expect(run.stderr).toMatch(/^issue-cert: [^\n]+\n( {2}[^\n]+\n)?$/);
    expect(treeOf(host.path)).toEqual(before);
  });

  test.each([
    ["a role that is not there", "demo/pki/k8s/sign/nothing", 78, "unknown role: nothing"],
    ["a mount that is not there", "other/pki/k8s/sign/kubelet", 78, "no handler for route"],
    ["a mount without a CA", "bare/sign/any", 78, "no default issuer"],
  ])("%s", async (_name, path, code, words) => {
    await cluster.write("sys/mounts/bare", { type: "pki" }).catch(() => {});
    await cluster.write("bare/roles/any", {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
    });
    await using host = await startWorker();
    const run = await issueAs(host, path);
    expect([run.code, run.stdout]).toEqual([code, ""]);
    expect(run.stderr).toContain(words);
  });

  test("a server that is down", async () => {
    await using host = await startWorker();
    await issue(host);
    const before = treeOf(host.path);
    const env = { VAULT_ADDR: "http://127.0.0.1:1", VAULT_MAX_RETRIES: "0" };
    const run = await host.run("issue-cert", [kubelet, commonName, host.destination], env);
    expect(run.code).toBe(75);
    expect(treeOf(host.path)).toEqual(before);
  });

  test("a key that is broken, until --force", async () => {
    await using host = await startWorker();
    await issue(host);
    await Bun.write(`${host.destination}-key.pem`, opensslEcKey("P-256").slice(0, 120));
    const before = treeOf(host.path);
    for (const flags of [[], ["--if-due"], ["-t", "rsa"]]) {
      const run = await issue(host, ...flags);
      expect(run.code).toBe(65);
      expect(run.stderr).toContain(`${host.destination}-key.pem holds a PEM block that is cut off`);
      expect(run.stderr).toContain("--force");
    }
    expect(treeOf(host.path)).toEqual(before);
    expect((await issue(host, "--force")).code).toBe(0);
    await expectMatching(host);
  });
});
