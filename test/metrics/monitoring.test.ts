import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clusterMetrics } from "../../lib/cli/cluster-metrics.ts";
import { hostMetrics } from "../../lib/cli/host-metrics.ts";
import { renderMetrics } from "../../lib/cli/metrics.ts";
import type { ClusterStatus } from "../../lib/cluster/cluster-status.ts";
import type { IssuerStatus } from "../../lib/cluster/issuer-status.ts";
import type { CaStatus } from "../../lib/cluster/rotation-status.ts";
import type { HostStatus } from "../../lib/tasks/host-status.ts";
import { ROOT } from "../../tools/main.ts";
import { type Answered, askPrometheus } from "./prometheus.ts";

const rules = readFileSync(join(ROOT, "docs/monitoring/alerts.yml"), "utf8");
const day = 86_400;
const at = 1_800_000_000;
const ok = { state: "ok", reasons: [] } as const;

/** A host on which all is as it should be, without certificates. */
const well: HostStatus = {
  ...{ state: "ok", host: "a", now: new Date(at * 1000), timers: new Map() },
  server: { ...ok, address: "https://vault.example.com:8200" },
  clock: { ...ok, aheadSeconds: 0 },
  token: {
    ...ok,
    path: "/etc/vault/token",
    accessor: "an-accessor",
    policies: ["demo/etcd"],
    renewable: true,
    expiresAt: new Date((at + 1000 * day) * 1000),
    dueAt: new Date((at + 500 * day) * 1000),
    initTokenWaits: false,
  },
  ...{ certificates: [], manifests: [], unrun: [], sandbox: [], hooks: [], units: [] },
  ...{ config: [], permission: [] },
};
const known = hostMetrics(well).map(({ name }) => name);

/** A CA that another one has replaced. */
const replaced: CaStatus = {
  ...{ name: "g1", keyId: "a-key", signs: false, notAfter: new Date((at + day) * 1000), leftSeconds: day },
  ...{ certificatesInUse: 3, lastEnd: undefined },
};

/** The metrics of a host and of a cluster with one CA. */
function withCluster(changes: Partial<IssuerStatus> = {}, ageDays = 0): string {
  const issuer: IssuerStatus = {
    ...{ ...ok, mount: "demo/pki/k8s", id: "an-id", name: "g2", subject: "CN=CA", roles: [] },
    ...{ isDefault: true, isCross: false, leftSeconds: 1000 * day, longestSeconds: undefined },
    notBefore: new Date((at - day) * 1000),
    notAfter: new Date((at + 1000 * day) * 1000),
    dueAt: new Date((at + 900 * day) * 1000),
    ...changes,
  };
  const cluster: ClusterStatus = {
    ...{ id: "demo", state: issuer.state, now: new Date((at - ageDays * day) * 1000) },
    mounts: [{ ...ok, path: issuer.mount, issuers: [issuer], cas: [replaced], rotation: undefined }],
    ...{ setup: [], initTokens: [], hostTokens: [], silentHosts: { count: 0, unnamed: 0, latest: [] } },
  };
  return metricsOf({}) + renderMetrics(clusterMetrics(cluster));
}
const knownOfCluster = [...withCluster().matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name);

interface Certificate {
  readonly state: "ok" | "due" | "wrong";
  /** Days since its first moment, of thirty. */
  readonly age: number;
}

/** A host's metrics, with what differs from one that is well. */
function metricsOf(
  changes: Partial<HostStatus>,
  { state, age }: Certificate = { state: "ok", age: 3 },
): string {
  const labels = { name: "etcd", path: "/etc/etcd/ssl/etcd" };
  const certificate = (what: string, samples: ReadonlyArray<{ labels: object; value: number }>) => ({
    name: `vault_helper_certificate_${what}`,
    help: "of a certificate",
    samples: samples.map((sample) => ({ ...sample, labels: { ...labels, ...sample.labels } })),
  });
  const begin = at - age * day;
  return renderMetrics([
    ...hostMetrics({ ...well, ...changes }),
    certificate(
      "status",
      ["ok", "due", "wrong"].map((it) => ({ labels: { state: it }, value: it === state ? 1 : 0 })),
    ),
    certificate("not_before_timestamp_seconds", [{ labels: {}, value: begin }]),
    certificate("not_after_timestamp_seconds", [{ labels: {}, value: begin + 30 * day }]),
    certificate("due_timestamp_seconds", [{ labels: {}, value: begin + 20 * day }]),
  ]);
}

/** The alerts that fire on a host, beside one that is well. */
async function firing(text: string): Promise<string[]> {
  const { alerts, problems } = await askPrometheus({ rules, hosts: { a: text, well: metricsOf({}) }, at });
  expect(problems).toEqual([]);
  return alerts.flatMap(({ name, expression }) => {
    expect([name, expression.problem]).toEqual([name, ""]);
    return expression.result.map(({ instance }) => `${name} ${instance}`);
  });
}

const wrong = { state: "wrong", reasons: ["it is"] } as const;
const unit = { unit: "cert.timer", lastRunAt: undefined, nextRunAt: undefined, exitCode: undefined };

/** What each alert is for, and nothing else fires on. */
const cases: Readonly<Record<string, string>> = {
  VaultHelperStatusOld: metricsOf({ now: new Date((at - 3601) * 1000) }),
  VaultHelperCertificateEnds: metricsOf({}, { state: "ok", age: 27.5 }),
  VaultHelperCertificateOverdue: metricsOf({}, { state: "due", age: 23 }),
  VaultHelperCertificateWrong: metricsOf({}, { state: "wrong", age: 3 }),
  VaultHelperTokenWrong: metricsOf({ token: { ...well.token, ...wrong } }),
  VaultHelperTokenDue: metricsOf({ token: { ...well.token, state: "due" } }),
  VaultHelperServerAway: metricsOf({ server: { ...wrong, address: undefined } }),
  VaultHelperClockOff: metricsOf({ clock: { ...wrong, aheadSeconds: -61 } }),
  VaultHelperHookPending: metricsOf({ hooks: [{ ...wrong, hook: "/bin/true", manifests: ["etcd"] }] }),
  VaultHelperManifestBroken: metricsOf({ manifests: [wrong] }),
  VaultHelperSandboxFault: metricsOf({
    sandbox: [{ ...wrong, path: "/srv/tls", units: ["cert.service"], manifests: ["etcd"] }],
  }),
  VaultHelperUnitWrong: metricsOf({ units: [{ ...wrong, ...unit }] }),
  VaultHelperClusterStatusOld: withCluster({}, 2.1),
  VaultHelperIssuerDue: withCluster({ state: "due" }),
  VaultHelperIssuerWrong: withCluster({ state: "wrong" }),
};

describe("docs/monitoring/alerts.yml", () => {
  let all: Answered["alerts"];
  beforeAll(async () => {
    all = (await askPrometheus({ rules, hosts: {}, at })).alerts;
  }, 300_000);

  test("has nothing that Prometheus finds wrong, and would be found wrong", async () => {
    expect((await askPrometheus({ rules, hosts: {}, at })).problems).toEqual([]);
    const broken = rules.replace("> 3600", "> > 3600");
    expect((await askPrometheus({ rules: broken, hosts: {}, at })).problems.join()).toContain("unexpected");
  });

  test("asks for metrics that a host or an admin writes", () => {
    const asked = all.flatMap(({ expression }) => expression.metrics);
    expect(asked.length).toBeGreaterThan(10);
    const written = new Set(withCluster().match(/^vault_helper_\w+/gm));
    expect(asked.filter((name) => !known.includes(name) && !written.has(name))).toEqual([]);
  });

  test("says of each alert how bad it is, what it is, and where to look", () => {
    for (const { name, labels, annotations } of all) {
      expect([name, labels]).toEqual([name, { severity: expect.stringMatching(/^(warning|critical)$/) }]);
      expect(Object.keys(annotations).sort()).toEqual(["description", "summary"]);
      expect([name, annotations.summary]).toEqual([name, expect.stringContaining("$labels.instance")]);
    }
  });

  test("has a case here for each alert", () => {
    expect(all.map(({ name }) => name)).toEqual(Object.keys(cases));
  });

  test.each(Object.entries(cases))("fires %s, and no other", async (name, text) => {
    expect(await firing(text)).toEqual([`${name} a`]);
  });

  test.each([
    ["of a host that is well", metricsOf({})],
    ["of a cluster that is well", withCluster({}, 1.9)],
    ["of a certificate that is due since yesterday", metricsOf({}, { state: "due", age: 21 })],
    ["of a certificate that waits for its window", metricsOf({}, { state: "ok", age: 26 })],
    [
      "of a server that was not asked",
      metricsOf({ server: { state: "unknown", reasons: [], address: undefined } }),
    ],
    ["of a token that never expires", metricsOf({ token: { ...well.token, expiresAt: undefined } })],
  ])("fires nothing %s", async (_, text) => {
    expect(await firing(text)).toEqual([]);
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly datasource: { readonly uid: string };
  readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat?: string }>;
}

describe("docs/monitoring/dashboard.json", () => {
  const dashboard = JSON.parse(readFileSync(join(ROOT, "docs/monitoring/dashboard.json"), "utf8"));
  const panels: readonly Panel[] = dashboard.panels;
  /** As Grafana fills in its variable where all hosts are chosen. */
  const queries = panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => expr.replaceAll("$instance", ".*")),
  );
  const ask = async (hosts: Readonly<Record<string, string>>) =>
    (await askPrometheus({ rules, queries, hosts, at })).queries;

  test("has queries that Prometheus can read, of metrics that a host or an admin writes", async () => {
    for (const { text, problem, metrics } of await ask({})) {
      expect([text, problem]).toEqual([text, ""]);
      expect([text, metrics.length > 0]).toEqual([text, true]);
      expect(metrics.filter((name) => ![...known, ...knownOfCluster].includes(name))).toEqual([]);
    }
  });

  test("shows something in each panel for a host that is well and one that is wrong", async () => {
    const text = metricsOf({ state: "wrong", server: { ...wrong, address: undefined } });
    for (const { text: query, result } of await ask({ a: text, well: withCluster() })) {
      expect([query, result.length > 0]).toEqual([query, true]);
    }
  });

  test("takes its data from the source that its reader chooses", () => {
    const variables = dashboard.templating.list.map(({ name }: { name: string }) => name);
    expect(variables).toEqual(["datasource", "instance"]);
    for (const { title, datasource, targets } of panels) {
      expect([title, datasource.uid]).toEqual([title, "$datasource"]);
      for (const { expr } of targets) expect(expr).toContain('instance=~"$instance"');
    }
  });

  test("has panels that lie beside each other, each with an id of its own", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBe(24);
  });
});
