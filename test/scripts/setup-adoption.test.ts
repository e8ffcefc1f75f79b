import { beforeAll, describe, expect, test } from "bun:test";
import { api, fields } from "../cluster/api.ts";
import { loadOriginal } from "../cluster/load-original.ts";
import {
  goldenTokens,
  mapValues,
  originalObjects,
  readObjects,
  storedTokens,
  wantedObjects,
} from "../cluster/objects.ts";
import { renewals } from "../cluster/run.ts";
import { relayedServer } from "../support/dev-server.ts";
import { openssl, opensslRsaKey } from "../support/openssl.ts";
import { runScript } from "../support/script.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };

async function planOf(script: string) {
  const { code, stdout } = await runScript(script, ["--dry-run", "--json", "golden"], { env });
  expect(code).toBe(0);
  return JSON.parse(stdout).changes;
}

describe("a cluster that the original set up", () => {
  const original = originalObjects("golden", goldenTokens);
  const roles = Object.entries(original.pki_roles).flatMap(([mount, itsRoles]) =>
    Object.keys(itsRoles).map((name) => `golden/pki/${mount}/roles/${name}`),
  );
  const secrets = ["service-accounts", "encryption-config"].map((name) => `golden/secrets/${name}`);
  const wanted = wantedObjects("golden", goldenTokens);
  const policies = Object.entries(original.policies).map(([name, policy]) => ({
    action: "update",
    kind: "policy",
    path: name,
    fields: [{ field: "policy", from: policy.trim(), to: wanted.policies[name]?.trim() }],
  }));
  const tokenRoles = Object.keys(original.token_roles).map((name) => ({
    action: "update",
    kind: "token role",
    path: `auth/token/roles/${name}`,
    fields: [{ field: "token_type", from: "default-service", to: "service" }],
  }));
  const writesOfRights = [
    ...policies.map(({ path }) => `sys/policies/acl/${path}`),
    ...tokenRoles.map(({ path }) => path),
  ];

  /** A host token, made as hosts do it, with further parameters. */
  async function tokenOf(role: string, asked = {}) {
    const init = String((await storedTokens(admin, "golden"))[role]);
    const { auth } = await admin.as(init).write(`auth/token/create/golden-${role}`, asked);
    return admin.as(String(fields(auth).client_token));
  }

  /** The year in which an `admin` certificate ends if a host asks for one until 2040. */
  async function endOf(host: typeof admin, more = {}): Promise<number> {
    const csr = openssl(["req", "-new", "-key", "/dev/stdin", "-subj", "/CN=admin"], opensslRsaKey(2048));
    const asked = { csr, common_name: "admin", ...more };
    const { data } = await host.write("golden/pki/k8s/sign/admin", asked);
    return new Date(Number(fields(data).expiration) * 1000).getUTCFullYear();
  }

  let master = admin;
  beforeAll(async () => {
    await loadOriginal(admin, original);
    master = await tokenOf("master");
  });

  test("is as the golden file has it", async () => {
    expect(await readObjects(admin, "golden", original)).toEqual(original);
  });

  test("has mounts and CAs that need no change", async () => {
    expect(await planOf("setup-mounts")).toEqual([]);
  });

  test("has PKI roles whose key types change, rights that are narrowed, and no other change", async () => {
    const change = (path: string) => ({
      action: "update",
      kind: "PKI role",
      path,
      fields: [
        { field: "key_type", from: "rsa", to: "any" },
        { field: "key_bits", from: 2048, to: 0 },
        { field: "signature_bits", from: 256, to: 0 },
      ],
    });
    const byPath = (changes: ReadonlyArray<{ path: string }>) => Map.groupBy(changes, ({ path }) => path);
    const planned = [...roles.map(change), ...policies, ...tokenRoles];
    expect(byPath(await planOf("write-roles"))).toEqual(byPath(planned));
  });

  test("shows what changes in its policies line by line", async () => {
    const { stdout } = await runScript("write-roles", ["--dry-run", "golden"], { env });
    const lines = stdout.split("\n");
    const from = lines.indexOf("update policy golden/worker: policy");
    const sign = '{ "csr" = [], "common_name" = [], "alt_names" = [], "ip_sans" = [], "ttl" = [] }';
    expect(lines.slice(from + 1, from + 6)).toEqual([
      `  + golden/pki/k8s/sign/kubelet: allowed_parameters = ${sign}`,
      `  + golden/pki/k8s/sign/kube-proxy: allowed_parameters = ${sign}`,
      `  + golden/pki/etcd-overlay/sign/client: allowed_parameters = ${sign}`,
      "update policy golden/etcd-creator: policy",
      '  + auth/token/create/golden-etcd: allowed_parameters = { "display_name" = [], "num_uses" = [], "meta" = [] }',
    ]);
    expect(lines).toContain(
      'update token role auth/token/roles/golden-all: token_type "default-service" -> "service"',
    );
    expect(lines.filter((it) => it.startsWith("  - "))).toEqual([]);
  });

  test("lets a host get certificates that outlive its roles' limits, and tokens that nobody can revoke", async () => {
    expect(await endOf(master, { not_after: "2040-01-01T00:00:00Z" })).toBe(2040);
    const batch = await tokenOf("worker", { type: "batch" });
    expect(await batch.find("auth/token/lookup-self")).toMatchObject({ type: "batch", accessor: "" });
  });

  test("keeps its secrets, tokens and CAs once adopted", async () => {
    const kept = () => Promise.all([...secrets, ...caPaths].map((path) => admin.find(path)));
    const caPaths = Object.keys(original.pki_roles).map((mount) => `golden/pki/${mount}/cert/ca`);
    const before = await kept();
    relay.reset();
    for (const script of ["setup-mounts", "write-roles"]) {
      expect((await runScript(script, ["golden"], { env })).code).toBe(0);
    }
    const writes = relay.writes().map(({ path }) => path);
    expect(writes.toSorted()).toEqual([...roles, ...writesOfRights, ...renewals].toSorted());
    expect(await readObjects(admin, "golden", wanted)).toEqual({
      ...wanted,
      // Everything else is untouched, even Go's null for an empty list.
      token_roles: mapValues(original.token_roles, (role) => ({ ...role, token_type: "service" })),
    });
    expect(await kept()).toEqual(before);
    expect(await planOf("write-roles")).toEqual([]);
  });

  test("shows what is removed again from a policy that somebody has widened", async () => {
    const path = "sys/policies/acl/golden/worker";
    const policy = String((await admin.find(path)).policy);
    const wide = policy.replace(/ +allowed_parameters.*\n/, "").replace('"update"', '"update", "delete"');
    await admin.write(path, { policy: `${wide}\npath "own/*" {\n  capabilities = ["read"]\n}\n` });
    const { stdout } = await runScript("write-roles", ["golden"], { env });
    const sign = '{ "csr" = [], "common_name" = [], "alt_names" = [], "ip_sans" = [], "ttl" = [] }';
    expect(stdout.split("\n").slice(0, 5)).toEqual([
      "update policy golden/worker: policy",
      '  - golden/pki/k8s/sign/kubelet: capabilities = ["create", "read", "update", "delete"]',
      '  - own/*: capabilities = ["read"]',
      '  + golden/pki/k8s/sign/kubelet: capabilities = ["create", "read", "update"]',
      `  + golden/pki/k8s/sign/kubelet: allowed_parameters = ${sign}`,
    ]);
    expect(await planOf("write-roles")).toEqual([]);
  });

  test("lets its hosts get neither once adopted, and everything else as before", async () => {
    const year = new Date().getUTCFullYear();
    await expect(endOf(master, { not_after: "2040-01-01T00:00:00Z" })).rejects.toThrow("403");
    expect(await endOf(master, { alt_names: "", ip_sans: "" })).toBeLessThanOrEqual(year + 1);
    await expect(tokenOf("worker", { type: "batch" })).rejects.toThrow("403");
    const renewed = fields((await master.write("auth/token/renew-self", {})).auth);
    expect(renewed).toMatchObject({ lease_duration: 157_680_000, token_type: "service" });
    const made = await tokenOf("worker", { display_name: "token", num_uses: 0 });
    expect(await made.find("auth/token/lookup-self")).toMatchObject({ type: "service", renewable: true });
  });
});

describe("a mount at a path that set-up needs", () => {
  const paths = ["pki/etcd-k8s", "pki/etcd-overlay", "pki/k8s", "pki/k8s-api-proxy", "secrets"];
  const others = [
    { type: "transit", name: "transit" },
    { type: "kv", options: { version: "2" }, name: "kv version 2" },
  ];
  test.each(paths.flatMap((path) => others.map((other) => [path, other] as const)))(
    "at %s stops setup-mounts before any change: %o",
    async (path, { name, ...mount }) => {
      const id = `way-${path.replace("/", "-")}-${mount.type}`;
      await admin.write(`sys/mounts/${id}/${path}`, mount);
      relay.reset();
      const result = await runScript("setup-mounts", [id], { env });
      const kind = path === "secrets" ? "generic (kv version 1)" : "pki";
      expect(result).toEqual({
        code: 78,
        stdout: "",
        stderr:
          `setup-mounts: mount ${id}/${path} is of type ${name}, but has to be ${kind}\n` +
          "  nothing was changed; move that mount elsewhere, or choose another cluster id\n",
      });
      expect(relay.writes()).toEqual([]);
    },
  );

  test("of kv version 1 counts as a generic one", async () => {
    const mount = { type: "kv", options: { version: "1" }, description: "Kubernetes kv-one secrets" };
    await admin.write("sys/mounts/kv-one/secrets", mount);
    for (const script of ["setup-mounts", "write-roles"]) {
      expect((await runScript(script, ["kv-one"], { env })).stdout).not.toContain("mount kv-one/secrets");
    }
    const found = Object(await admin.find("sys/mounts"))["kv-one/secrets/"];
    expect(found).toMatchObject(mount);
    expect(await admin.list("kv-one/secrets")).toHaveLength(6);
  });
});
