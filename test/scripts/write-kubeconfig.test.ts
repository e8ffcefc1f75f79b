import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { normalIp } from "../../lib/x509/ip-address.ts";
import { trace } from "../crash/strace.ts";
import { startCluster } from "../support/cluster-server.ts";
import {
  api,
  commonName,
  dataOf,
  expectEmbedded,
  type Master,
  put,
  signPath,
  startMaster,
  words,
  write,
  written,
} from "../support/kubeconfig-host.ts";
import { scriptPath } from "../support/script.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

describe("write-kubeconfig", () => {
  test("writes the certificate and the kubeconfig: one renewal of the token, one signature", async () => {
    await using host = await startMaster(cluster);
    const run = await write(host);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect(run.stdout).toMatch(
      new RegExp(
        `^${host.destination}\\.pem issued: [^\n]+\n${host.kubeconfig} written: context demo, cluster demo at https://127\\.0\\.0\\.1:6443\n$`,
      ),
    );
    const asked = ["auth/token/renew-self", signPath, "demo/pki/k8s/issuers"];
    expect(host.relay.passed.map(({ path }) => path)).toEqual(asked);
    expectEmbedded(host);
    expect(parse(host.read(host.kubeconfig))).toMatchObject({
      "current-context": "demo",
      clusters: [{ name: "demo", cluster: { server: "https://127.0.0.1:6443" } }],
      contexts: [{ name: "demo", context: { cluster: "demo", namespace: "kube-system", user: "demo" } }],
      users: [{ name: "demo" }],
    });
    expect([modeOf(host.kubeconfig), modeOf(dirname(host.kubeconfig))]).toEqual(["600", "750"]);
  });

  test("works with the Go tool's name and arguments, and goes on with its file", async () => {
    await using host = await startMaster(cluster);
    put(
      host,
      `current-context: demo\napiVersion: v1\nkind: Config\nclusters:\n- name: demo\n  cluster:\n    server: ${host.relay.address}\n    api-version: v1\n    certificate-authority-data: b2xk\ncontexts:\n- name: demo\n  context:\n    cluster: demo\n    namespace: kube-system\n    user: demo\nusers:\n- name: demo\n  user:\n    client-certificate-data: b2xk\n    client-key-data: b2xk\n`,
      0o644,
    );
    const go = [
      "kubeconfig",
      ...words(host),
      "--key-type=rsa",
      "--key-bit-size=2048",
      "--owner=0",
      "--group=0",
    ];
    const run = await host.run("vault-helper", go);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expectEmbedded(host);
    expect(host.read(host.kubeconfig)).toContain("server: https://127.0.0.1:6443\n");
    expect(host.read(host.kubeconfig)).not.toContain("api-version");
    expect(modeOf(host.kubeconfig)).toBe("600");
  });

  test("issues a new certificate without --if-due, and nothing with it", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    const before = treeOf(host.path);
    host.relay.reset();
    const wish = await write(host, "--if-due");
    expect(wish).toMatchObject({ code: 0, stderr: "" });
    expect(wish.stdout).toMatch(/^[^\n]+\.pem is not due: [^\n]+\n$/);
    expect(host.relay.passed.map(({ path }) => path)).toEqual(["auth/token/renew-self"]);
    expect(treeOf(host.path)).toEqual(before);
    const { certificate, key } = dataOf(host);
    await written(host);
    expectEmbedded(host);
    expect([dataOf(host).key, dataOf(host).certificate === certificate]).toEqual([key, false]);
    await written(host, "--force");
    expectEmbedded(host);
    expect(dataOf(host).key).not.toBe(key);
  });

  test.each([
    ["is missing", (host: Master) => rmSync(host.kubeconfig)],
    ["is empty", (host: Master) => writeFileSync(host.kubeconfig, "")],
    [
      "holds the previous certificate",
      (host: Master, before: string) => writeFileSync(host.kubeconfig, before),
    ],
    ["is readable by all", (host: Master) => chmodSync(host.kubeconfig, 0o644)],
  ])("fixes a kubeconfig that %s, even if no certificate is due", async (_name, spoil) => {
    await using host = await startMaster(cluster);
    await written(host);
    const before = host.read(host.kubeconfig);
    await written(host);
    const [right, serial] = [host.read(host.kubeconfig), host.read(`${host.destination}.pem`)];
    spoil(host, before);
    const run = await write(host, "--if-due");
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining(`${host.kubeconfig} written`) });
    expect([host.read(host.kubeconfig), modeOf(host.kubeconfig)]).toEqual([right, "600"]);
    expect(host.read(`${host.destination}.pem`)).toBe(serial);
  });

  test("names paths with --no-embed, and a renewal leaves them alone", async () => {
    await using host = await startMaster(cluster);
    const paths = {
      "client-certificate": `${host.destination}.pem`,
      "client-key": `${host.destination}-key.pem`,
    };
    const made = await written(host, "--no-embed");
    expect(made.users[0].user).toEqual(paths);
    expect(made.clusters[0].cluster["certificate-authority"]).toBe(`${host.destination}-ca.pem`);
    const stats = statSync(host.kubeconfig, { bigint: true });
    const again = await write(host, "--no-embed", "--force");
    expect(again.stdout).not.toContain("written");
    expect(statSync(host.kubeconfig, { bigint: true }).ctimeNs).toBe(stats.ctimeNs);
    await written(host, "--embed");
    expectEmbedded(host);
  });

  test("names absolute paths if relative ones are given", async () => {
    await using host = await startMaster(cluster);
    const run = await host.run("write-kubeconfig", [
      "--no-embed",
      signPath,
      commonName,
      "ssl/kubelet",
      "kube/config",
    ]);
    expect(run.code).toBe(0);
    const made = parse(host.read(host.kubeconfig));
    expect(made.users[0].user["client-key"]).toBe(`${host.destination}-key.pem`);
  });

  test("takes its names, server and namespace from flags, and keeps the server", async () => {
    await using host = await startMaster(cluster);
    const flags = ["--cluster-name", "c", "--user-name", "u", "--context", "x", "--namespace", "n"];
    const made = await written(host, "--server", api, ...flags);
    expect(made).toMatchObject({
      "current-context": "x",
      clusters: [{ name: "c", cluster: { server: api } }],
      contexts: [{ name: "x", context: { cluster: "c", namespace: "n", user: "u" } }],
      users: [{ name: "u" }],
    });
    expect(await written(host, ...flags)).toMatchObject({ clusters: [{ cluster: { server: api } }] });
  });

  test("names user and context after the cluster by default", async () => {
    await using host = await startMaster(cluster);
    const made = await written(host, "--cluster-name", "c");
    expect(made).toMatchObject({
      clusters: [{ name: "c" }],
      contexts: [{ name: "c" }],
      users: [{ name: "c" }],
    });
  });

  test("requests the certificate like issue-cert", async () => {
    await using host = await startMaster(cluster);
    const path = "demo/pki/etcd-k8s/sign/server";
    const flags = ["-s", "a.example.com", "-i", "10.0.0.1", "-t", "ed25519", "--ca-chain"];
    const args = [...flags, path, "etcd-1", host.destination, host.kubeconfig];
    const run = await host.run("write-kubeconfig", args, { VAULT_TOKEN: cluster.rootToken });
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining("Ed25519 key made") });
    const [leaf] = readCertificates(host.read(`${host.destination}.pem`), "it");
    expect([leaf.commonName, leaf.ipAddresses]).toEqual(["etcd-1", [normalIp("10.0.0.1") ?? ""]]);
    expect(leaf.dnsNames).toContain("a.example.com");
    expectEmbedded(host);
  });

  test("gives both files and new folders to their owner and group", async () => {
    await using host = await startMaster(cluster);
    await written(host, "-o", "1234", "-g", "1235");
    for (const path of [host.kubeconfig, dirname(host.kubeconfig), `${host.destination}-key.pem`]) {
      const { uid, gid } = statSync(path);
      expect([uid, gid]).toEqual([1234, 1235]);
    }
    expect(modeOf(host.kubeconfig)).toBe("600");
    // A folder of another user must not change its owner.
    expect((await write(host, "-o", "1236", "-g", "1236", "--if-due")).code).toBe(77);
    expect(statSync(host.kubeconfig).uid).toBe(1234);
  });

  test("keeps the group of root's file, and changes it on demand", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    chownSync(host.kubeconfig, 0, 1235);
    await written(host);
    expect(statSync(host.kubeconfig).gid).toBe(1235);
    expect((await write(host, "--if-due", "--group", "1236")).code).toBe(0);
    expect([statSync(host.kubeconfig).uid, statSync(host.kubeconfig).gid]).toEqual([0, 1236]);
  });

  test("prints the outcome as JSON with --json, without secrets", async () => {
    await using host = await startMaster(cluster);
    const json = JSON.parse((await write(host, "--json", "--server", api)).stdout);
    expect(json).toMatchObject({
      outcome: "issued",
      destination: host.destination,
      kubeconfig: {
        path: host.kubeconfig,
        written: true,
        server: api,
        ...{ cluster: "demo", user: "demo", context: "demo", namespace: "kube-system" },
      },
    });
    const again = JSON.parse((await write(host, "--json", "--if-due")).stdout);
    expect(again).toMatchObject({ outcome: "not due", kubeconfig: { written: false, server: api } });
  });

  test("writes the file with a narrow mode from the first byte, never half written, and durably", async () => {
    await using host = await startMaster(cluster);
    await written(host);
    const command = [await scriptPath("write-kubeconfig"), "-p", host.config, ...words(host)];
    const folder = dirname(host.kubeconfig);
    const { calls } = await trace(command, { env: host.env, folder });
    const seen = calls.filter(({ path }) => path !== undefined && !path.includes(".lock"));
    const names = seen.map(({ name, line }) =>
      name === "openat" && line.includes("O_CREAT") ? "create" : name,
    );
    const order = ["create", "fchmod", "write", "fsync", "rename", "fsync"];
    let from = 0;
    for (const name of order) {
      const at = names.indexOf(name, from);
      expect([name, at]).toEqual([name, expect.any(Number)]);
      expect(at).toBeGreaterThanOrEqual(from);
      from = at + 1;
    }
    expect(seen.find(({ name, line }) => name === "openat" && line.includes("O_CREAT"))?.line).toContain(
      "0600",
    );
  });

  test("keeps a password in the API server's address, and does not print it", async () => {
    await using host = await startMaster(cluster);
    const server = "https://somebody:canary-password@api.example.com:6443";
    put(host, `kind: Config\nclusters:\n- name: demo\n  cluster:\n    server: ${server}\n`);
    const said = [await write(host), await write(host, "--json")].map(
      ({ stdout, stderr }) => stdout + stderr,
    );
    for (const text of said) expect(text).toContain(api);
    expect(said.join()).not.toContain("canary-password");
    expect(host.read(host.kubeconfig)).toContain(server);
  });

  test("keeps key and token from its output at every level, and from its arguments", async () => {
    await using host = await startMaster(cluster);
    put(host, "kind: Config\nusers:\n- name: o\n  user: {token: canary-token}\n");
    const said = [];
    for (const flags of [[], ["--merge"], ["--merge", "--force"], ["--merge", "--json"]]) {
      const { stdout, stderr } = await write(host, "-l", "2", ...flags);
      said.push(stdout, stderr);
    }
    put(host, "users: [{name: canary-token: x");
    said.push((await write(host, "-l", "2")).stderr);
    const all = said.join("\n");
    const key = host.read(`${host.destination}-key.pem`).split("\n")[1] ?? "";
    for (const secret of [
      "canary-token",
      host.read(join(host.config, "token")),
      key,
      dataOf(host).key.slice(50, 90),
    ]) {
      expect(secret.length).toBeGreaterThan(10);
      expect(all).not.toContain(secret);
    }
  });
});
