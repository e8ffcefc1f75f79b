import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { Failure } from "../../lib/failure.ts";
import { relayedServer } from "../support/dev-server.ts";
import { api, fields } from "./api.ts";
import { clientOf, type Half, halves, makeMounts, prepareRoles, run } from "./run.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const all = ["create", "read", "update", "delete", "list", "sudo"];

function rule(path: string, capabilities: readonly string[]): string {
  return `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`;
}

/** A token that may do everything except one thing. */
function tokenWithout(path: string, ...missing: readonly string[]): Promise<string> {
  return tokenOf(path, missing, "");
}

/** The same, but it may not ask for its rights. Then only a refusal shows what it lacks. */
function blindTokenWithout(path: string, ...missing: readonly string[]): Promise<string> {
  return tokenOf(path, missing, rule("sys/capabilities-self", ["deny"]));
}

async function tokenOf(path: string, missing: readonly string[], more: string): Promise<string> {
  const policy =
    more +
    rule("*", all) +
    rule(
      path,
      all.filter((name) => !missing.includes(name)),
    );
  await admin.write("sys/policies/acl/but-one", { policy });
  const { auth } = await admin.write("auth/token/create", { policies: ["but-one"] });
  return String(fields(auth).client_token);
}

/** Runs one half with a token. Returns its failure, the changes that it reported, and the writes that it tried. */
async function runAs(token: string, half: Half, cluster: Cluster) {
  relay.reset();
  const done: string[] = [];
  const failure = await (async () => {
    const setup = await halves[half](clientOf(relay.address, token), cluster);
    await setup.apply(({ resource }) => done.push(resource.path));
  })().catch((error: unknown) => error);
  return { failure, done, writes: relay.writes().map(({ path }) => path) };
}

function expectRefusal(failure: unknown, request: string, capability: string): void {
  if (!(failure instanceof Failure)) throw new Error(`not a failure: ${failure}`);
  expect(failure.kind).toBe("permission");
  expect(failure.message).toMatch(/^[A-Z]+ \S+: permission denied \(HTTP 40[03], [^\n]*\)$/);
  expect(failure.message).toStartWith(`${request}: `);
  const [, path] = request.split(" ");
  const what = capability.includes(" and ") ? "capabilities" : "capability";
  expect(failure.hint).toBe(`the token needs a policy with the ${what} ${capability} on ${path}`);
}

const writeCapability = '"create" and "update"';

/** Expects a run to be refused before it writes anything, and to name the missing rights. */
async function expectForetold(token: string, half: Half, cluster: Cluster, lacks: string): Promise<void> {
  const { failure, done, writes } = await runAs(token, half, cluster);
  expect({ failure, done, writes }).toMatchObject({
    failure: {
      kind: "permission",
      message: `the token may not make all changes to cluster ${cluster.id}`,
      hint: `nothing was changed; the token needs a policy with the capability ${lacks}`,
    },
    done: [],
    writes: [],
  });
}

describe("a token that may not write", () => {
  test.each([
    ["tune", "sys/auth/token/tune", ["update"], '"update" and "sudo"'],
    ["mount", "sys/mounts/ID/pki/k8s", ["create", "update"], writeCapability],
    ["mount", "sys/mounts/ID/secrets", ["create", "update"], writeCapability],
    ["ca", "ID/pki/etcd-overlay/root/generate/internal", ["create", "update"], writeCapability],
  ])(
    "%s at %s is refused before setup-mounts writes, or stops it there if it may not ask",
    async (name, pattern, missing, capability) => {
      const cluster = defineCluster(`m-${name}-${pattern.replace(/.*\//, "")}`);
      await admin.write("sys/auth/token/tune", { max_lease_ttl: "system" });
      const path = pattern.replace("ID", cluster.id);
      const told = await tokenWithout(path, ...missing);
      await expectForetold(told, "setup-mounts", cluster, `"update" on ${path}`);
      const blind = await blindTokenWithout(path, ...missing);
      const { failure, done, writes } = await runAs(blind, "setup-mounts", cluster);
      expectRefusal(failure, `POST ${path}`, capability);
      expect(writes.at(-1)).toBe(path);
      expect(done).toHaveLength(writes.length - 1);

      // The next run makes only the remaining changes.
      const rest = await run("setup-mounts", clientOf(server.address, server.rootToken), cluster);
      expect(rest).toHaveLength(10 - done.length);
    },
  );

  test.each([
    ["ID/pki/etcd-k8s/roles/client", writeCapability],
    ["ID/pki/k8s/roles/kubelet", writeCapability],
    ["ID/secrets/encryption-config", writeCapability],
    ["sys/policies/acl/ID/master", writeCapability],
    ["auth/token/roles/ID-worker", writeCapability],
    ["ID/secrets/init_token_master", writeCapability],
    ["auth/token/create-orphan", `"create" and "update" and "sudo"`],
  ])(
    "at %s is refused before write-roles writes, or stops it there if it may not ask",
    async (pattern, capability) => {
      const cluster = defineCluster(`r-${pattern.replace(/[^a-z]+/g, "-").toLowerCase()}`);
      await prepareRoles(admin, cluster);
      const path = pattern.replace("ID", cluster.id);
      // Only here does the server distinguish new from existing.
      const right = /^auth\/token\/roles|secrets/.test(path) ? "create" : "update";
      const told = await tokenWithout(path, "create", "update");
      await expectForetold(told, "write-roles", cluster, `"${right}" on ${path}`);
      const blind = await blindTokenWithout(path, "create", "update");
      const { failure, done, writes } = await runAs(blind, "write-roles", cluster);
      expectRefusal(failure, `POST ${path}`, capability);
      expect(writes.at(-1)).toBe(path);
      expect(done).toHaveLength(writes.length - 1);

      const rest = await run("write-roles", clientOf(server.address, server.rootToken), cluster);
      // An id without its token is replaced, since the token might have been revoked.
      const replaced = path === "auth/token/create-orphan" ? 1 : 0;
      expect(rest).toHaveLength(31 - done.length + replaced);
    },
  );

  test("tokens with a chosen id, for lack of sudo, is refused, or stops there if it may not ask", async () => {
    const cluster = defineCluster("no-sudo");
    await prepareRoles(admin, cluster);
    const path = "auth/token/create-orphan";
    await expectForetold(await tokenWithout(path, "sudo"), "write-roles", cluster, `"sudo" on ${path}`);
    const { failure } = await runAs(await blindTokenWithout(path, "sudo"), "write-roles", cluster);
    expectRefusal(failure, "POST auth/token/create-orphan", `"create" and "update" and "sudo"`);
  });
});

describe("a token that may not read", () => {
  const cluster = defineCluster("unread");
  test.each([
    ["setup-mounts", "sys/mounts", '"read"'],
    ["setup-mounts", "sys/auth/token/tune", '"read" and "sudo"'],
    ["write-roles", "sys/mounts", '"read"'],
    ["write-roles", "unread/pki/k8s/roles/admin", '"read"'],
    ["write-roles", "unread/secrets/service-accounts", '"read"'],
    ["write-roles", "unread/secrets/init_token_etcd", '"read"'],
    ["write-roles", "unread/secrets/cluster-file-roles", '"read"'],
    ["setup-mounts", "unread/secrets/cluster-file-mounts", '"read"'],
    ["write-roles", "sys/policies/acl/unread/worker", '"read"'],
    ["write-roles", "auth/token/roles/unread-all", '"read"'],
  ] as const)("stops %s at %s before anything is written", async (half, path, capability) => {
    if ((await admin.find("sys/mounts"))["unread/secrets/"] === undefined) await makeMounts(admin, cluster);
    const { failure, done, writes } = await runAs(await tokenWithout(path, "read"), half, cluster);
    expectRefusal(failure, `GET ${path}`, capability);
    expect({ done, writes }).toEqual({ done: [], writes: [] });
  });

  test("since the server does not know it, stops with a message about that", async () => {
    for (const half of ["setup-mounts", "write-roles"] as const) {
      const { failure, writes } = await runAs("not-a-token", half, cluster);
      expect(failure).toMatchObject({
        kind: "permission",
        hint: expect.stringMatching(
          /^the server does not know this token: it expired, was revoked, or belongs to another server/,
        ),
      });
      expect(writes).toEqual([]);
    }
  });
});
