import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { readAsPrometheus } from "../metrics/prometheus.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { modeOf } from "../support/tree.ts";

// What machines read: JSON fields and metrics that they may rely on.

let cluster: ClusterServer;
let host: ManifestHost;
beforeAll(async () => {
  cluster = await startCluster();
  host = await startManifestHost(cluster);
  host.write(
    "etcd",
    'san_hosts = ["localhost"]\nip_sans = ["127.0.0.1", "fd00::1"]\norganisation = ["made up"]',
  );
  host.write("hooked", host.onChange("exit 1"));
  host.write("missing");
  await host.issue("--hooks", "later");
  host.write("later", 'destination = "/nonexistent/later"');
}, 60_000);
afterAll(async () => {
  await host[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

const status = (...args: string[]) => host.run("status", ["--config-dir", host.certs, ...args]);
const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const number = expect.any(Number);
const finding = (state: string, ...reasons: string[]) => ({ state, reasons, mend: null });

describe("status --json", () => {
  test("has these fields, which stay and keep their meaning", async () => {
    const all = JSON.parse((await status("--json")).stdout);
    const issued = {
      ...finding("ok"),
      name: "etcd",
      destination: host.destinationOf("etcd"),
      manifest: join(host.certs, "etcd.toml"),
      signPath: "demo/pki/etcd-overlay/sign/client",
      commonName: "etcd",
      organisations: [],
      dnsNames: ["etcd", "localhost"],
      ipAddresses: ["127.0.0.1", "fd00::1"],
      issuer: "Kubernetes demo/etcd-overlay CA",
      serialNumber: expect.stringMatching(/^[0-9a-f]{30,40}$/),
      keyType: "EC P-256",
      notBefore: moment,
      expiresAt: moment,
      expiresInSeconds: number,
      dueAt: moment,
      dueInSeconds: number,
      replacedAt: moment,
      keyMatches: true,
      caMatches: true,
      caOnServer: "same",
      timer: null,
      hookPending: false,
    };
    const command = `/bin/sh -c "exit 1" hook ${join(host.path, "hook.log")}`;
    const fix = `issue-cert --config-path ${host.config} --config-dir ${host.certs}`;
    expect(all).toEqual({
      state: "wrong",
      time: moment,
      host: expect.any(String),
      server: { ...finding("ok"), address: host.relay.address },
      clock: { ...finding("ok"), serverAheadSeconds: number },
      token: {
        ...finding("ok"),
        path: join(host.config, "token"),
        initTokenWaits: false,
        accessor: expect.stringMatching(/^\w{24}$/),
        policies: ["default", "demo/worker"],
        renewable: true,
        expiresAt: moment,
        expiresInSeconds: number,
        dueAt: moment,
        dueInSeconds: number,
      },
      certificates: [
        issued,
        expect.objectContaining({ name: "hooked", hookPending: true }),
        {
          ...Object.fromEntries(Object.keys(issued).map((name) => [name, null])),
          state: "wrong",
          reasons: ["there is none yet"],
          mend: fix,
          name: "later",
          destination: "/nonexistent/later",
          manifest: join(host.certs, "later.toml"),
          signPath: "demo/pki/etcd-overlay/sign/client",
          organisations: [],
          dnsNames: [],
          ipAddresses: [],
          caOnServer: "unknown",
          hookPending: false,
        },
        expect.objectContaining({ name: "missing" }),
      ],
      manifests: [],
      sandbox: [],
      hooks: [
        {
          state: "due",
          reasons: ["has not succeeded since the change"],
          mend: `${fix} --hooks only`,
          hook: command,
          manifests: ["hooked"],
        },
      ],
      units: [],
      config: [],
      permission: [],
    });
    const [{ expiresAt, expiresInSeconds }] = all.certificates;
    expect(Math.floor((Date.parse(expiresAt) - Date.parse(all.time)) / 1000)).toBe(expiresInSeconds);
  });
});

describe("status --prometheus", () => {
  test("writes metrics that Prometheus accepts, with the same values as --json", async () => {
    const path = join(host.path, "host.prom");
    const { code, stdout, stderr } = await status("--json", "--prometheus", path);
    expect([code, stderr, modeOf(path)]).toEqual([1, "", "644"]);
    const all = JSON.parse(stdout);
    const text = readFileSync(path, "utf8");
    expect(text).not.toContain(all.token.accessor);
    expect(text).not.toContain(host.read(join(host.config, "token")).trim());
    const { problems, metrics } = await readAsPrometheus(text);
    expect(problems).toBeNull();
    expect(Object.keys(metrics).toSorted()).toEqual(
      [
        ...["status", "status_timestamp_seconds", "server_up", "server_clock_ahead_seconds"],
        ...["token_status", "token_expiry_timestamp_seconds", "token_init_waiting"],
        ...["certificate_status", "certificate_info", "certificate_not_before_timestamp_seconds"],
        ...["certificate_not_after_timestamp_seconds", "certificate_due_timestamp_seconds"],
        ...["manifests_broken", "sandbox_faults", "hooks_pending", "build_info"],
      ]
        .map((name) => `vault_helper_${name}`)
        .toSorted(),
    );
    const sampleOf = (name: string, labels: Readonly<Record<string, string>> = {}) =>
      metrics[`vault_helper_${name}`]?.find((it) =>
        Object.entries(labels).every(([key, value]) => it.labels[key] === value),
      )?.value;
    const [etcd, , later] = all.certificates;
    const labels = { name: "etcd", path: etcd.destination };
    const seconds = (time: string) => Date.parse(time) / 1000;
    expect([sampleOf("status", { state: "wrong" }), sampleOf("status", { state: "ok" })]).toEqual([1, 0]);
    expect(sampleOf("status_timestamp_seconds")).toBe(seconds(all.time));
    expect(sampleOf("token_expiry_timestamp_seconds")).toBe(seconds(all.token.expiresAt));
    expect(sampleOf("certificate_not_after_timestamp_seconds", labels)).toBe(seconds(etcd.expiresAt));
    expect(sampleOf("certificate_due_timestamp_seconds", labels)).toBe(seconds(etcd.dueAt));
    expect(sampleOf("certificate_status", { ...labels, state: "ok" })).toBe(1);
    expect(sampleOf("certificate_status", { name: later.name, state: "wrong" })).toBe(1);
    expect(
      sampleOf("certificate_info", { ...labels, subject: "etcd", issuer: etcd.issuer, key_type: "EC P-256" }),
    ).toBe(1);
    expect(sampleOf("certificate_not_after_timestamp_seconds", { name: later.name })).toBeUndefined();
    expect(metrics.vault_helper_build_info).toEqual([{ labels: { version }, value: 1 }]);
    expect([sampleOf("server_up"), sampleOf("hooks_pending"), sampleOf("manifests_broken")]).toEqual([
      1, 1, 0,
    ]);
  }, 300_000);

  test("has no metric of a server that was not asked", async () => {
    const path = join(host.path, "offline.prom");
    await status("--offline", "--prometheus", path);
    const text = readFileSync(path, "utf8");
    expect(text).not.toMatch(/server_up|server_clock|token_expiry/);
    expect(text).toContain('vault_helper_token_status{state="unknown"} 1\n');
  });

  test("ends with 73 if the file can't be written, and prints nothing", async () => {
    const path = join(host.path, "none/host.prom");
    const { code, stdout, stderr } = await status("--prometheus", path);
    expect({ code, stdout, stderr }).toEqual({
      code: 73,
      stdout: "",
      stderr: `status: can't write ${path}: no such file or folder (ENOENT)\n`,
    });
  });
});
