import { describe, expect, test } from "bun:test";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { planTeardown } from "../../lib/cluster/teardown.ts";
import { relayedServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { api } from "./api.ts";
import { type Rights, tokenWith } from "./limited.ts";
import { storedTokens } from "./objects.ts";
import { clientOf, prepareRoles, run } from "./run.ts";
import { readWholeServer } from "./whole-server.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const cluster = defineCluster("demo");

async function makeCluster(cluster: Cluster): Promise<void> {
  const { id } = cluster;
  await prepareRoles(admin, cluster);
  await run("write-roles", clientOf(server.address, server.rootToken), cluster);
  const { worker = "" } = await storedTokens(admin, id);
  await admin.as(worker).write(`auth/token/create/${id}-worker`, {});
}
await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });
await makeCluster(cluster);

/** The rights that a teardown needs in few rules, besides the policy `default`. */
const rights: Rights = {
  "sys/mounts": ["read"],
  "sys/mounts/demo/*": ["delete"],
  "sys/policies/acl/demo/*": ["read", "delete"],
  "auth/token/roles/demo-*": ["read", "delete"],
  "auth/token/accessors": ["list", "sudo"],
  "auth/token/lookup-accessor": ["update"],
  "auth/token/revoke-accessor": ["update"],
  "demo/secrets": ["list"],
  "demo/secrets/init_token_*": ["read"],
  "demo/secrets/cluster-file-roles": ["read"],
  "demo/pki/+/certs": ["list"],
  "demo/pki/+/roles": ["list"],
};

async function tearDown(token: string, of = cluster, { revokeHosts } = { revokeHosts: true }): Promise<void> {
  const teardown = await planTeardown(clientOf(relay.address, token), of, () => {});
  await teardown.apply({ revokeHosts, onRemoved() {}, onProgress() {} });
}

const reading = ["auth/token/lookup-accessor", "sys/capabilities-self"];

/** Expects the teardown to be refused and to remove nothing. */
async function refusalOf(token: string, of = cluster) {
  relay.reset();
  const failure = await failureOf(() => tearDown(token, of));
  expect(relay.writes().filter(({ path }) => !reading.includes(path))).toEqual([]);
  return { code: failure.kind, message: failure.message, hint: failure.hint };
}

describe("a token that may not remove", () => {
  test.each([
    ["sys/mounts/demo/pki/k8s", "delete"],
    ["sys/mounts/demo/secrets", "delete"],
    ["sys/policies/acl/demo/master", "delete"],
    ["auth/token/roles/demo-all", "delete"],
    ["auth/token/revoke-accessor", "update"],
  ])("%s is refused before anything is removed", async (path, capability) => {
    const others = (rights[path] ?? ["read", "delete"]).filter((name) => name !== capability);
    const token = await tokenWith(admin, { ...rights, [path]: others.length === 0 ? ["deny"] : others });
    expect(await refusalOf(token)).toEqual({
      code: "permission",
      message: "the token may not remove all of cluster demo",
      hint: `nothing was removed; the token needs a policy with the capability "${capability}" on ${path}`,
    });
  });

  test("several things gets a message that names each", async () => {
    const token = await tokenWith(admin, {
      ...rights,
      "sys/mounts/demo/*": ["read"],
      "auth/token/roles/*": ["read"],
    });
    const { hint } = await refusalOf(token);
    expect(hint?.match(/"delete" on sys\/mounts\/demo/g)).toHaveLength(5);
  });
});

test("a token that may not revoke host tokens is refused first, even if no init token is left", async () => {
  const hosts = defineCluster("hosts");
  await makeCluster(hosts);
  for (const token of Object.values(await storedTokens(admin, hosts.id)))
    await admin.write("auth/token/revoke", { token });
  const its = Object.entries(rights).map(([path, may]) => [path.replace("demo", hosts.id), may] as const);
  const token = await tokenWith(admin, {
    ...Object.fromEntries(its),
    "auth/token/revoke-accessor": ["deny"],
  });
  expect((await refusalOf(token, hosts)).hint).toBe(
    `nothing was removed; the token needs a policy with the capability "update" on auth/token/revoke-accessor`,
  );
  await tearDown(token, hosts, { revokeHosts: false });
});

describe("a token that may not read", () => {
  test.each([
    ["sys/mounts", "sys/mounts", '"read"'],
    ["demo/secrets/init_token_*", "demo/secrets/init_token_[a-z]+", '"read"'],
    ["sys/policies/acl/demo/*", "sys/policies/acl/demo/[a-z-]+", '"read"'],
    ["auth/token/roles/demo-*", "auth/token/roles/demo-[a-z]+", '"read"'],
    ["auth/token/accessors", "auth/token/accessors", '"list" and "sudo"'],
    ["auth/token/lookup-accessor", "auth/token/lookup-accessor", '"update"'],
    ["demo/secrets", "demo/secrets", '"list"'],
    ["demo/pki/+/certs", "demo/pki/k8s-api-proxy/certs", '"list"'],
    ["demo/pki/+/roles", "demo/pki/k8s-api-proxy/roles", '"list"'],
  ])("%s is refused before anything is removed", async (pattern, path, capability) => {
    const { [pattern]: _, ...others } = rights;
    const { code, message, hint } = await refusalOf(await tokenWith(admin, others));
    expect(code).toBe("permission");
    expect(message).toMatch(new RegExp(`^(GET|POST) ${path}: permission denied`));
    expect(hint).toMatch(
      new RegExp(`^the token needs a policy with the capabilit(y|ies) ${capability} on ${path}$`),
    );
  });

  test("its own rights goes on until the server refuses something", async () => {
    const policy = await tokenWith(admin, {
      ...rights,
      "sys/capabilities-self": ["deny"],
      "auth/token/roles/demo-*": ["read"],
    });
    relay.reset();
    const { kind, message } = await failureOf(() => tearDown(policy));
    expect({ kind, message }).toMatchObject({
      kind: "permission",
      message: expect.stringContaining("DELETE auth/token/roles/demo-all: permission denied"),
    });
  });

  test("anything, since the server does not know it, gets a message about that", async () => {
    expect((await refusalOf("not-a-token")).hint).toStartWith(
      "the server does not know this token: it expired, was revoked, or belongs to another server",
    );
  });
});

test("a token with the documented rights removes everything", async () => {
  await tearDown(await tokenWith(admin, rights));
  const { mounts, policies, tokenRoles, tokens } = await readWholeServer(admin);
  const ours = [...Object.keys(mounts), ...Object.keys(policies), ...Object.keys(tokenRoles)];
  expect(ours.filter((name) => name.startsWith("demo"))).toEqual([]);
  expect(JSON.stringify(tokens)).not.toContain("demo");
});
