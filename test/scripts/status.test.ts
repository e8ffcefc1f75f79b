import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { closedWindow } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import type { Fault } from "../support/relay.ts";
import { runScript } from "../support/script.ts";
import { treeOf } from "../support/tree.ts";
import { ask, findings, issueAll, startHostWithOne } from "./status-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** A token that may get certificates of every role. */
const admin = { VAULT_TOKEN: cluster.rootToken };
const issue = (host: ManifestHost, ...args: string[]) => issueAll(cluster, host, ...args);
const hostWithOne = (fields?: string, fault?: Fault) => startHostWithOne(cluster, fields, fault);

describe("status of a healthy host", () => {
  test("shows each thing in a line, ends with 0, and changes nothing", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd", 'san_hosts = ["localhost"]\nip_sans = ["127.0.0.1", "fd00::1"]');
    await issue(host);
    host.relay.reset();
    const before = treeOf(host.path);
    const { code, stdout, stderr } = await ask(host);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^STATE {2}WHAT {14}LEFT {3,5}DUE \(UTC\) {9}ABOUT$/),
      expect.stringMatching(
        /^ok {5}certificate etcd {2}29d 23h {2,3}20\d\d-\d\d-\d\d \d\d:\d\d {2}etcd, EC P-256/,
      ),
      expect.stringMatching(
        /^ok {5}token {13}(4y 364d|5y {5}) {2}20\d\d-\d\d-\d\d \d\d:\d\d {2}accessor \w+ \(demo\/worker\)$/,
      ),
      expect.stringMatching(/^ok {5}clock {40,41}same as the server's$/),
      expect.stringMatching(/^ok {5}server {39,40}http:\/\/127\.0\.0\.1:\d+$/),
      "4 ok",
      "",
    ]);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(stdout).not.toContain("\u001b");
    expect(treeOf(host.path)).toEqual(before);
    expect(host.relay.passed.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET auth/token/lookup-self",
      "GET demo/pki/etcd-overlay/issuers",
    ]);
  });

  test("prints nothing at log level 0, and asks no server with --offline", async () => {
    await using host = await hostWithOne();
    expect(await ask(host, "-l", "0")).toEqual({ code: 0, stdout: "", stderr: "" });
    host.relay.reset();
    const { code, told } = await findings(host, "--offline");
    expect({ code, told }).toEqual({
      code: 0,
      told: ["unknown server: not asked", "unknown clock: not asked", "unknown token: not asked"],
    });
    expect(host.relay.passed).toEqual([]);
  });

  test("asks once about the token, once for each mount, all over one connection", async () => {
    await using host = await startManifestHost(cluster);
    await using proxy = await startCountingProxy(cluster.address);
    const { sign } = await makeMount(cluster);
    const paths = ["demo/pki/etcd-overlay/sign/client", "demo/pki/etcd-k8s/sign/server", sign];
    for (let i = 0; i < 200; i++) host.write(`it-${i}`, `sign_path = "${paths[i % paths.length]}"`);
    await issue(host);
    host.relay.reset();
    const { code, all } = await findings(host);
    expect([code, all.certificates.length]).toEqual([0, 200]);
    expect(host.relay.passed.length).toBe(1 + paths.length);
    const direct = { VAULT_ADDR: proxy.address };
    expect((await host.run("status", ["--config-dir", host.certs], direct)).code).toBe(0);
    expect(proxy.takeConnections()).toBe(1);
  }, 60_000);

  test("without any certificate says how to name one of a direct call", async () => {
    await using host = await startManifestHost(cluster);
    const { code, stdout } = await host.run("status");
    expect(code).toBe(0);
    expect(stdout).toContain("3 ok; no certificate found: name those of direct calls with --destination");
  });

  test("without any of our files says that the host is not set up, until one is there", async () => {
    await using host = await startManifestHost(cluster);
    const nothing = (name: string) => join(host.path, name);
    const flags = ["--config-path", nothing("vault"), "--config-dir"];
    const told = async (...more: string[]) => {
      const { code, stdout } = await runScript("status", [...flags, nothing("vault/certs.d"), ...more], {
        env: host.env,
      });
      return { code, stdout };
    };
    rmSync(nothing("vault"), { recursive: true });
    const sentence =
      `this host isn't set up: there is no config, token or init-token in ${nothing("vault")}, ` +
      `and no manifest in ${nothing("vault/certs.d")}`;
    const first = await told();
    expect(first).toEqual({ code: 1, stdout: expect.stringContaining(sentence) });
    expect(JSON.parse((await told("--json")).stdout).config).toEqual([
      { state: "wrong", reasons: [sentence], mend: null },
    ]);
    mkdirSync(nothing("vault/certs.d"), { recursive: true, mode: 0o700 });
    expect((await told()).stdout).toContain(sentence);
    for (const [name, content] of [
      ["config", "VAULT_INIT_ROLE=demo-worker\n"],
      ["init-token", "an-init-token\n"],
      ["token", "a-token\n"],
      ["certs.d/broken.toml", "nothing = 1\n"],
    ] as const) {
      writeFileSync(nothing(`vault/${name}`), content, { mode: 0o600 });
      expect((await told()).stdout).not.toContain("isn't set up");
      rmSync(nothing(`vault/${name}`));
    }
  });

  test("includes the certificates of direct calls, once each", async () => {
    await using host = await hostWithOne();
    const direct = join(host.path, "direct/proxy");
    const call = ["demo/pki/k8s/sign/kube-proxy", "system:kube-proxy", direct];
    expect((await host.run("issue-cert", call, admin)).code).toBe(0);
    const given = ["--destination", `${direct},${host.destinationOf("etcd")}`, "--destination", direct];
    const { code, told, all } = await findings(host, ...given);
    expect({ code, told }).toEqual({ code: 0, told: [] });
    expect(all.certificates).toEqual([
      expect.objectContaining({ name: "etcd", manifest: join(host.certs, "etcd.toml") }),
      expect.objectContaining({
        name: "proxy",
        manifest: null,
        signPath: "demo/pki/k8s/sign/kube-proxy",
        caOnServer: "same",
        keyMatches: true,
        replacedAt: null,
      }),
    ]);
  });
});

test("status ends with 0 for a certificate that waits for its window, and shows when that opens", async () => {
  const { window, opens } = closedWindow();
  await using host = await hostWithOne();
  host.write("etcd", `san_hosts = ["new.example"]\nwindow = "${window}"`);
  const { code, told, all } = await findings(host);
  expect({ code, told }).toEqual({
    code: 0,
    told: ["ok certificate etcd: the names are not those asked for; it waits for its window"],
  });
  expect(all.certificates[0].replacedAt).toStartWith(opens.slice(0, 16).replace(" ", "T"));
  expect((await ask(host)).stdout).toContain(opens.slice(0, 16));
  expect((await host.issue("--check")).code).toBe(0);
});

test("status ends with 0 for a certificate that every run renews, and says so", async () => {
  await using host = await hostWithOne('renew = "always"');
  expect(await findings(host)).toMatchObject({
    code: 0,
    told: ["ok certificate etcd: it is renewed at each run"],
  });
});

describe("status refuses before it asks the server", () => {
  test.each([
    [["--destination", "."], "can't be a certificate's destination"],
    [["--prometheus", "/tmp/metrics"], "does not end in .prom"],
    [["--config-dir"], "--config-dir needs a value"],
    [["--nothing"], "there is no flag --nothing"],
  ])("%j", async (args, words) => {
    await using host = await startManifestHost(cluster);
    const { code, stdout, stderr } = await host.run("status", args);
    expect({ code, stdout, stderr }).toEqual({
      code: 64,
      stdout: "",
      stderr: expect.stringContaining(words),
    });
    expect(host.relay.passed).toEqual([]);
  });
});
