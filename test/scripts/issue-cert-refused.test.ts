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

describe("issue-cert says in one sentence why it fails, and changes nothing, for", () => {
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
    ["a role that does not exist", "demo/pki/k8s/sign/nothing", 78, "unknown role: nothing"],
    ["a mount that does not exist", "other/pki/k8s/sign/kubelet", 78, "no handler for route"],
    ["a mount without a CA", "bare/sign/any", 78, "no default issuer"],
    ["an issuer that does not exist", "idle/issuer/gone/sign/any", 78, "the role's issuer_ref"],
    ["an issuer that may not sign", "idle/sign/any", 78, "give it the usage issuing-certificates"],
  ])("%s", async (_name, path, code, words) => {
    for (const mount of ["bare", "idle"]) {
      await cluster.write(`sys/mounts/${mount}`, { type: "pki" }).catch(() => {});
      await cluster.write(`${mount}/roles/any`, {
        allow_any_name: true,
        enforce_hostnames: false,
        key_type: "any",
      });
    }
    await cluster.write("idle/root/generate/internal", { common_name: "CA", ttl: "700h" });
    await cluster.write("idle/issuer/default", { usage: "read-only" });
    await using host = await startWorker();
    const run = await issueAs(host, path);
    expect([run.code, run.stdout]).toEqual([code, ""]);
    expect(run.stderr).toContain(words);
  });

  test("a name that the CA's name constraints exclude, with no retry", async () => {
    await cluster.write("sys/mounts/narrow", { type: "pki" });
    const constraint = { permitted_dns_domains: "example.com" };
    await cluster.write("narrow/root/generate/internal", { common_name: "CA", ttl: "700h", ...constraint });
    const role = { allow_any_name: true, key_type: "any", ttl: "24h" };
    await cluster.write("narrow/roles/any", role);
    await using host = await startWorker();
    const admin = { VAULT_TOKEN: cluster.rootToken };
    const issueFor = (name: string) =>
      host.run("issue-cert", ["narrow/sign/any", name, host.destination], admin);
    expect((await issueFor("a.example.com")).code).toBe(0);
    const { code, stderr } = await issueFor("a.example.org");
    // OpenBao signs it.
    if (code === 0) return;
    expect([code, stderr]).toEqual([65, expect.stringContaining("the CA's name constraints exclude it")]);
    expect(stderr).not.toContain("again");
  });

  test("a role that does not exist or is not for this host, with the paths that this host may use", async () => {
    await cluster.write("sys/policies/acl/further", {
      policy:
        'path "demo/pki/k8s/sign/ingress" { capabilities = ["update"] }\n' +
        'path "demo/pki/k8s/sign/gone" { capabilities = ["create", "update"] }\n' +
        'path "demo/pki/k8s/sign/edge-*" { capabilities = ["create", "update"] }\n' +
        'path "demo/pki/k8s/sign/admin" { capabilities = ["deny"] }\n' +
        'path "demo/pki/k8s/sign/kube-scheduler" { capabilities = ["read"] }\n',
    });
    const made = await cluster.write("auth/token/create", { policies: ["demo/worker", "further"] });
    const token = String(Object(Object(made).auth).client_token);
    const may =
      "this host may use demo/pki/etcd-overlay/sign/client, demo/pki/k8s/sign/edge-*, demo/pki/k8s/sign/gone, " +
      "demo/pki/k8s/sign/ingress, demo/pki/k8s/sign/kube-proxy, demo/pki/k8s/sign/kubelet; ";
    for (const [role, code, hint] of [
      [
        "k8s/sign/kubelett",
        77,
        `there is no role kubelett in demo/pki/k8s, or it is not for this host; did you mean demo/pki/k8s/sign/kubelet? ${may}`,
      ],
      [
        "k8/sign/ingress",
        77,
        `there is no role ingress in demo/pki/k8, or it is not for this host; did you mean demo/pki/k8s/sign/ingress? ${may}`,
      ],
      ["k8s/sign/admin", 77, `there is no role admin in demo/pki/k8s, or it is not for this host; ${may}`],
      ["k8s/sign/gone", 78, `there is no role gone in demo/pki/k8s; ${may}`],
      ["k8s/sign/edge-1", 78, `there is no role edge-1 in demo/pki/k8s; ${may}`],
    ] as const) {
      await using host = await startWorker();
      host.put("token", token);
      const run = await host.run("issue-cert", [`demo/pki/${role}`, commonName, host.destination]);
      expect([run.code, run.stderr]).toEqual([code, expect.stringContaining(`\n  ${hint}`)]);
    }
  });

  test("a parameter that a rule refuses, without naming other paths", async () => {
    await cluster.write("sys/policies/acl/narrow", {
      policy: `path "${kubelet}" { capabilities = ["update"]\n allowed_parameters = { "csr" = [] } }`,
    });
    const made = await cluster.write("auth/token/create", { policies: ["narrow"] });
    await using host = await startWorker();
    host.put("token", String(Object(Object(made).auth).client_token));
    const run = await issue(host);
    expect([run.code, run.stderr]).toEqual([77, expect.not.stringContaining("this host may")]);
  });

  test("a role that does not exist, if the server does not list the paths", async () => {
    await using host = await startWorker(({ path }) =>
      path.startsWith("sys/internal/ui/") ? Response.json({ errors: [] }, { status: 404 }) : undefined,
    );
    const path = "demo/pki/k8s/sign/nothing";
    const run = await host.run("issue-cert", [path, commonName, host.destination]);
    expect([run.code, run.stderr.split("\n")[1]]).toEqual([
      77,
      `  the token needs a policy with the capabilities "create" and "update" on ${path}`,
    ]);
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
