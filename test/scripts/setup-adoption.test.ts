import { beforeAll, describe, expect, test } from "bun:test";
import { api } from "../cluster/api.ts";
import { loadOriginal } from "../cluster/load-original.ts";
import { goldenTokens, originalObjects, readObjects, wantedObjects } from "../cluster/objects.ts";
import { renewals } from "../cluster/run.ts";
import { relayedServer } from "../support/dev-server.ts";
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
  beforeAll(() => loadOriginal(admin, original));

  test("stands as the golden file has it", async () => {
    expect(await readObjects(admin, "golden", original)).toEqual(original);
  });

  test("has mounts and CAs with nothing to change", async () => {
    expect(await planOf("setup-mounts")).toEqual([]);
  });

  test("has PKI roles whose key types are to change, and nothing else", async () => {
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
    expect(await planOf("write-roles")).toEqual(roles.map(change));
  });

  test("carries on with its secrets, tokens and CAs once adopted", async () => {
    const kept = () => Promise.all([...secrets, ...caPaths].map((path) => admin.find(path)));
    const caPaths = Object.keys(original.pki_roles).map((mount) => `golden/pki/${mount}/cert/ca`);
    const before = await kept();
    relay.reset();
    for (const script of ["setup-mounts", "write-roles"]) {
      expect((await runScript(script, ["golden"], { env })).code).toBe(0);
    }
    const writes = relay.writes().map(({ path }) => path);
    expect(writes).toEqual([...roles, ...renewals]);
    const wanted = wantedObjects("golden", goldenTokens);
    expect(await readObjects(admin, "golden", wanted)).toEqual({
      ...wanted,
      token_roles: original.token_roles,
    });
    expect(await kept()).toEqual(before);
    expect(await planOf("write-roles")).toEqual([]);
  });
});

describe("a mount that stands in the way", () => {
  const paths = ["pki/etcd-k8s", "pki/etcd-overlay", "pki/k8s", "pki/k8s-api-proxy", "secrets"];
  const others = [
    { type: "transit", name: "transit" },
    { type: "kv", options: { version: "2" }, name: "kv version 2" },
  ];
  test.each(paths.flatMap((path) => others.map((other) => [path, other] as const)))(
    "at %s stops setup-mounts before it changes anything: %o",
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
          `setup-mounts: mount ${id}/${path} is of type ${name}, and has to be ${kind}\n` +
          "  nothing was changed; move that mount elsewhere, or choose another cluster id\n",
      });
      expect(relay.writes()).toEqual([]);
    },
  );

  test("of kv version 1 is taken for the generic one", async () => {
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
