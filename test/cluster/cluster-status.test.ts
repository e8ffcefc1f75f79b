import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { actionText } from "../../lib/cli/action.ts";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { readClusterStatus } from "../../lib/cluster/cluster-status.ts";
import { pkiMounts, type WantedMount } from "../../lib/cluster/mounts.ts";
import { planRotation } from "../../lib/cluster/rotate-ca.ts";
import type { FileChoice } from "../../lib/cluster/setup-plan.ts";
import type { Fields } from "../../lib/vault/shape.ts";
import { devServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { section } from "../support/markdown.ts";
import { movedClock, startRelay } from "../support/relay.ts";
import { api, fields } from "./api.ts";
import { clusterFile } from "./file.ts";
import { type Rights, tokenWith } from "./limited.ts";
import { storedTokens } from "./objects.ts";
import { clientOf, prepareRoles, run } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);
await admin.write("sys/auth/token/tune", { max_lease_ttl: "157680000s" });

const day = 86_400;

/** Makes a CA with a key that is quick to make. Returns its issuer's id. */
async function addCa(mount: string, more: Fields = {}): Promise<string> {
  const { data } = await admin.write(`${mount}/root/generate/internal`, {
    common_name: "CA",
    key_type: "ec",
    ttl: "175200h",
    ...more,
  });
  const { issuer_id: id } = fields(data);
  return String(id);
}

async function makeCluster(id: string, chosen: Partial<Cluster> = {}): Promise<Cluster> {
  const cluster = defineCluster(id, chosen);
  await prepareRoles(admin, cluster);
  for (const { path } of pkiMounts(cluster)) await addCa(path);
  await run("write-roles", client, cluster);
  return cluster;
}

/** Gives a mount a CA with a new key beside the one that signs. */
async function rotateToNewKey(cluster: Cluster, path: string): Promise<void> {
  const wish = { renew: "key", key: { type: "ec", bits: 256 }, again: false } as const;
  const plan = await planRotation(client, cluster, mountOf(cluster, path), wish);
  const ignore = () => {};
  await plan.apply(ignore, ignore);
}

function mountOf(cluster: Cluster, path: string): WantedMount {
  const found = pkiMounts(cluster).find((it) => it.path === path);
  if (found === undefined) throw new Error(`the cluster has no mount ${path}`);
  return found;
}

const statusOf = (cluster: Cluster, by = client, choice: FileChoice = {}) =>
  readClusterStatus(by, cluster, choice, () => {});

async function findings(cluster: Cluster, by = client) {
  const { state, mounts, setup, initTokens } = await statusOf(cluster, by);
  const named = [
    ...mounts.map((it) => ({ ...it, what: it.path })),
    ...mounts.flatMap(({ issuers }) => issuers.map((it) => ({ ...it, what: `issuer ${it.mount}` }))),
    ...setup.map((it) => ({ ...it, what: it.half })),
    ...initTokens.map((it) => ({ ...it, what: `init token ${it.role}` })),
  ];
  const bad = named.filter((it) => it.state !== "ok");
  return {
    state,
    bad: bad.map((it) => [it.state, it.what, it.reasons.join("; "), it.fix && actionText(it.fix)]),
  };
}

const rotate = (mount: string) => `rotate-ca ${mount.replace("/pki/", " ")}`;
const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10);

test("readClusterStatus() reports every part of a healthy cluster as ok", async () => {
  const cluster = await makeCluster("well");
  await makeCluster("well-2");
  for (const role of ["worker", "worker", "etcd"]) {
    const init = (await storedTokens(admin, "well"))[role] ?? "";
    await admin.as(init).write(`auth/token/create/well-${role}`, {});
  }
  const relay = startRelay(server.address);
  const status = await statusOf(cluster, clientOf(relay.address, server.rootToken));
  const writes = new Set(relay.writes().map(({ path }) => path));
  expect(writes).toEqual(new Set(["auth/token/lookup-accessor"]));
  await relay[Symbol.asyncDispose]();

  expect(status).toMatchObject({ id: "well", state: "ok" });
  expect(status.setup.map(({ half, changes }) => [half, changes])).toEqual([
    ["setup-mounts", []],
    ["write-roles", []],
  ]);
  expect(status.initTokens.map(({ role }) => role)).toEqual(["etcd", "master", "worker", "all"]);
  for (const { ttlSeconds, lifetimeSeconds } of status.initTokens) {
    expect(lifetimeSeconds).toBe(5 * 365 * day);
    expect(ttlSeconds).toBeWithin(5 * 365 * day - 60, 5 * 365 * day + 1);
  }
  expect(status.hostTokens.map(({ role, count }) => [role, count])).toEqual([
    ["well-etcd", 1],
    ["well-master", 0],
    ["well-worker", 2],
    ["well-all", 0],
  ]);
  expect(status.hostTokens[2]?.soonestSeconds).toBeWithin(5 * 365 * day - 60, 5 * 365 * day + 1);
  expect(status.hostTokens[1]?.soonestSeconds).toBeUndefined();

  expect(status.mounts.map(({ path, issuers }) => [path, issuers.length])).toEqual([
    ["well/pki/etcd-k8s", 1],
    ["well/pki/etcd-overlay", 1],
    ["well/pki/k8s", 1],
    ["well/pki/k8s-api-proxy", 1],
    ["well/secrets", 0],
  ]);
  const issuer = status.mounts[2]?.issuers[0];
  expect(issuer).toMatchObject({
    subject: "CN=CA",
    isDefault: true,
    longestSeconds: 365 * day,
    state: "ok",
    reasons: [],
  });
  expect(issuer?.roles).toContainEqual({ role: "admin", wantsSeconds: 365 * day });
  expect(issuer?.roles).toContainEqual({ role: "kubelet", wantsSeconds: 30 * day });
  expect(issuer?.leftSeconds).toBeWithin(7300 * day - 60, 7300 * day + 60);
  // A tenth of twenty years is longer than the validity of an admin's certificate.
  const left = Number(issuer?.notAfter) - Number(issuer?.dueAt);
  expect(left / 1000).toBeWithin(730 * day, 730 * day + 60);
}, 20_000);

describe("readClusterStatus() says about an issuer", () => {
  let cluster: Cluster;
  const mount = "issuers/pki/etcd-k8s";
  beforeAll(async () => {
    cluster = await makeCluster("issuers");
  });

  /** Replaces all issuers by a new default one. */
  async function replace(more: Fields): Promise<string> {
    const id = await addCa(mount, more);
    await admin.write(`${mount}/config/issuers`, { default: id });
    return id;
  }

  test("nothing if it is not the default any more and no role names it", async () => {
    const old = await replace({ ttl: "1s" });
    await replace({});
    await Bun.sleep(2200);
    const status = await statusOf(cluster);
    const found = status.mounts[0]?.issuers.find(({ id }) => id === old);
    expect(found).toMatchObject({ isDefault: false, state: "ok", reasons: [], roles: [] });
    expect(found?.longestSeconds).toBeUndefined();
    expect(found?.dueAt).toBeUndefined();
    expect(found?.leftSeconds).toBeLessThan(0);
    expect(status.state).toBe("ok");
  });

  test("which roles ask for a longer validity than it has left, and what it does about that", async () => {
    const id = await replace({ ttl: "74h30m" });
    await admin.write(`${mount}/roles/hand`, { ttl: "20h", max_ttl: "100h" });
    await admin.write(`${mount}/roles/long`, { ttl: "100h", allow_any_name: true });
    // Its default TTL is the mount's, which is longer.
    await admin.write(`${mount}/roles/most`, { max_ttl: "100h" });
    const roles = "client, server (30d), long, most (4d 4h)";
    const said = (verb: string) => ({
      state: "due" as const,
      bad: [["due", `issuer ${mount}`, `has 3d 2h left; ${verb} certificates of ${roles}`, rotate(mount)]],
    });
    expect(await findings(cluster)).toEqual(said("refuses"));
    const status = await statusOf(cluster);
    expect(status.mounts[0]?.issuers.find((it) => it.id === id)?.longestSeconds).toBeWithin(
      74 * 3600,
      75 * 3600,
    );
    // The server agrees.
    const csr = { common_name: "x", ttl: "" };
    expect(admin.write(`${mount}/issue/long`, csr)).rejects.toThrow("beyond the expiration of the CA");

    await admin.write(`${mount}/issuer/${id}`, { leaf_not_after_behavior: "truncate" });
    expect(await findings(cluster)).toEqual(said("shortens"));
    await admin.write(`${mount}/issuer/${id}`, { leaf_not_after_behavior: "permit" });
    expect(await findings(cluster)).toEqual(said("expires before"));
    await admin.remove(`${mount}/roles/long`);
    await admin.remove(`${mount}/roles/most`);
    await admin.remove(`${mount}/roles/hand`);
  });

  test("nothing about a role without a validity of its own", async () => {
    await replace({});
    await admin.write(`${mount}/roles/any`, { allow_any_name: true });
    expect(await findings(cluster)).toEqual({ state: "ok", bad: [] });
    const status = await statusOf(cluster);
    const used = status.mounts[0]?.issuers.find(({ isDefault }) => isDefault);
    expect(used?.roles).toContainEqual({ role: "any", wantsSeconds: 0 });
    expect(used?.longestSeconds).toBe(30 * day);
    await admin.remove(`${mount}/roles/any`);
  });

  test("that less than a tenth of its lifetime is left, even if it can still sign every role in full", async () => {
    await replace({ ttl: "1600h", not_before_duration: "15000h" });
    expect(await findings(cluster)).toEqual({
      state: "due",
      bad: [["due", `issuer ${mount}`, "less than a tenth of its lifetime is left", rotate(mount)]],
    });
  });

  test("that it will soon not be able to sign for a role, a month before that", async () => {
    const due = async (left: number) => {
      await replace({ ttl: `${left * 24}h`, not_before_duration: `${(600 - left) * 24}h` });
      const status = await statusOf(cluster);
      const found = status.mounts[0]?.issuers.find(({ isDefault }) => isDefault);
      return {
        found,
        state: found?.state,
        inDays: (Number(found?.dueAt) - status.now.getTime()) / 1000 / day,
      };
    };
    const before = await due(61);
    expect(before.state).toBe("ok");
    // 30 days for the role, and 30 more to act in.
    expect(before.inDays).toBeWithin(0.99, 1.01);
    const { found, ...after } = await due(59.5);
    expect(after.state).toBe("due");
    expect(after.inDays).toBeWithin(-0.51, -0.49);
    const from = dayOf(Number(found?.notAfter) - 30 * day * 1000);
    const words = `has 59d 11h left; from ${from} on it refuses certificates of client, server (30d)`;
    expect(found?.reasons[0]).toBe(words);
    expect(found?.fix).toEqual({ do: "other", text: rotate(mount) });
    await admin.write(`${mount}/issuer/${found?.id}`, { leaf_not_after_behavior: "truncate" });
    expect((await findings(cluster)).bad[0]?.[2]).toContain("on it shortens certificates of client");
  });

  test("that a tenth of its lifetime is enough to act in, if that is shorter than a month", async () => {
    const id = await replace({ ttl: "768h", not_before_duration: "432h" });
    const status = await statusOf(cluster);
    const found = status.mounts[0]?.issuers.find((it) => it.id === id);
    // 50 days, so 5 more than the 30 of the role.
    expect((Number(found?.notAfter) - Number(found?.dueAt)) / 1000 / day).toBeWithin(34.9, 35.1);
    expect(found?.state).toBe("due");
  });

  test("that only other validities help, if a new certificate would be due at once", async () => {
    await replace({ ttl: "760h" });
    await admin.write(`sys/mounts/${mount}/tune`, { default_lease_ttl: "760h", max_lease_ttl: "760h" });
    const { bad } = await findings(cluster);
    await admin.write(`sys/mounts/${mount}/tune`, {
      default_lease_ttl: "175200h",
      max_lease_ttl: "175200h",
    });
    expect(bad[0]?.[3]).toBe(
      `give the roles of ${mount} a shorter validity, or its CA a longer one (--max-validity-ca)`,
    );
    expect((await findings(cluster)).bad[0]?.[3]).toBe(rotate(mount));
  });

  test("that a CA with another subject needs a new key", async () => {
    await replace({ ttl: "74h30m", organization: "Example" });
    expect((await findings(cluster)).bad[0]?.[3]).toBe(`${rotate(mount)} --new-key`);
  });

  test("that an intermediate CA is renewed by the CA above it", async () => {
    const { data } = await admin.write(`${mount}/intermediate/generate/internal`, {
      common_name: "below",
      key_type: "ec",
    });
    const asked = { csr: fields(data).csr, common_name: "below", ttl: "74h30m" };
    await replace({});
    const signed = fields((await admin.write(`${mount}/root/sign-intermediate`, asked)).data);
    const { imported_issuers: ids } = fields(
      (await admin.write(`${mount}/intermediate/set-signed`, { certificate: signed.certificate })).data,
    );
    await admin.write(`${mount}/config/issuers`, { default: Array.isArray(ids) ? ids[0] : "" });
    expect((await findings(cluster)).bad[0]?.[3]).toStartWith(
      `make a CSR by vault write ${mount}/intermediate/generate/existing key_ref=`,
    );
  });

  test("nothing if it is a cross certificate, which no role signs with", async () => {
    const path = "issuers/pki/etcd-overlay";
    await rotateToNewKey(cluster, path);
    const status = await statusOf(cluster);
    const issuers = status.mounts[1]?.issuers ?? [];
    const shown = issuers.map(({ name, isCross, state, dueAt }) => [
      name,
      isCross,
      state,
      dueAt !== undefined,
    ]);
    expect(shown.sort()).toEqual([
      ["", false, "ok", false],
      ["g2", false, "ok", true],
      ["g2-by-g1", true, "ok", false],
    ]);
  });

  test("the same for an issuer that a role names and that is not the default", async () => {
    const id = await replace({ ttl: "74h30m", issuer_name: "named" });
    await replace({});
    await admin.write(`${mount}/roles/hand`, { ttl: "100h", issuer_ref: "named" });
    const words = "has 3d 2h left; refuses certificates of hand (4d 4h)";
    const other = "give hand another issuer_ref";
    const said = { state: "due" as const, bad: [["due", `issuer ${mount}`, words, other]] };
    expect(await findings(cluster)).toEqual(said);
    await admin.write(`${mount}/roles/hand`, { ttl: "100h", issuer_ref: id });
    expect(await findings(cluster)).toEqual(said);
    await admin.remove(`${mount}/roles/hand`);
    expect((await findings(cluster)).bad).toEqual([]);
  });

  test("that it has expired", async () => {
    await replace({ ttl: "1s" });
    await Bun.sleep(2200);
    const { state, bad } = await findings(cluster);
    expect({ state, bad }).toEqual({
      state: "wrong",
      bad: [["wrong", `issuer ${mount}`, "has expired", rotate(mount)]],
    });
  });

  test("that it is not valid yet, by the server's clock", async () => {
    await replace({});
    const clock = movedClock(() => -day * 1000);
    await using relay = startRelay(server.address, clock);
    const { state, bad } = await findings(cluster, clientOf(relay.address, server.rootToken));
    expect({ state, bad: bad.filter(([, what]) => what === `issuer ${mount}`) }).toEqual({
      state: "wrong",
      bad: [["wrong", `issuer ${mount}`, "is not valid yet", "set that clock"]],
    });
  });

  test("that it may not sign", async () => {
    const id = await replace({});
    await admin.write(`${mount}/issuer/${id}`, { usage: "read-only" });
    expect((await findings(cluster)).bad).toEqual([
      ["wrong", `issuer ${mount}`, "it may not sign certificates", expect.any(String)],
    ]);
    const usage = `vault write ${mount}/issuer/${id} usage=read-only,issuing-certificates,crl-signing,ocsp-signing`;
    expect((await findings(cluster)).bad[0]?.[3]).toBe(`give it the usage issuing-certificates: ${usage}`);
    await replace({});
  });

  test("that its key is elsewhere, and about a mount that it has no default issuer", async () => {
    const other = "issuers/pki/k8s-api-proxy";
    const { certificate } = await admin.find(`${mount}/issuer/default`);
    await admin.remove(`${other}/root`);
    expect((await findings(cluster)).bad).toContainEqual([
      "wrong",
      other,
      "has no issuer",
      "setup-mounts issuers",
    ]);
    await admin.write(`${other}/issuers/import/cert`, { pem_bundle: String(certificate) });
    expect((await findings(cluster)).bad).toEqual([
      [
        "wrong",
        other,
        "has no default issuer, so roles that name no issuer can't sign",
        `choose one of the issuers of ${other}`,
      ],
    ]);
    const [id = ""] = await admin.list(`${other}/issuers`);
    await admin.write(`${other}/config/issuers`, { default: id });
    expect((await findings(cluster)).bad).toEqual([
      [
        "wrong",
        `issuer ${other}`,
        "its key is not in the server",
        `have the certificate renewed where its key is, and import it by vault write ${other}/issuers/import/cert pem_bundle=@FILE; or make another issuer the default`,
      ],
    ]);
  });
});

describe("readClusterStatus() says", () => {
  test("how many changes of each kind set-up would make", async () => {
    const cluster = await makeCluster("drifted");
    await admin.write("sys/mounts/drifted/pki/k8s/tune", { description: "x" });
    await admin.remove("drifted/pki/etcd-k8s/roles/client");
    await admin.remove("drifted/pki/etcd-k8s/roles/server");
    await admin.remove("sys/policies/acl/drifted/worker");
    const { state, bad } = await findings(cluster);
    expect(state).toBe("due");
    expect(bad).toEqual([
      ["due", "setup-mounts", "would make 1 change (mount 1)", "setup-mounts drifted"],
      ["due", "write-roles", "would make 3 changes (PKI role 2, policy 1)", "write-roles drifted"],
    ]);
  });

  test("how the cluster differs from its stored file, or from a given one", async () => {
    const cluster = await makeCluster("filed");
    const file = clusterFile('kubelet_domains = ["*.nodes.example.com"]');
    await run("write-roles", client, cluster, { file });
    const halves = async (choice: FileChoice = {}) => {
      const { state, setup } = await statusOf(cluster, client, choice);
      return {
        state,
        setup: setup.map(({ half, file, reasons, fix }) => [half, file, ...reasons, fix && actionText(fix)]),
      };
    };
    expect(await halves()).toEqual({
      state: "ok",
      setup: [
        ["setup-mounts", undefined, undefined],
        ["write-roles", "stored", undefined],
      ],
    });
    const other = clusterFile('kubelet_domains = ["*.example.com"]');
    expect(await halves({ file: other })).toEqual({
      state: "due",
      setup: [
        ["setup-mounts", "given", undefined],
        [
          "write-roles",
          "given",
          "would make 2 changes (cluster file 1, PKI role 1)",
          "write-roles --config cluster.toml filed",
        ],
      ],
    });
    await admin.write("filed/secrets/cluster-file-roles", { kubelet_domains: 5 });
    const { state, bad } = await findings(cluster);
    expect({ state, half: bad[0]?.slice(0, 2) }).toEqual({ state: "wrong", half: ["wrong", "write-roles"] });
  });

  test("which mounts are missing or have another type", async () => {
    const cluster = await makeCluster("mounts");
    await admin.remove("sys/mounts/mounts/secrets");
    await admin.remove("sys/mounts/mounts/pki/k8s");
    expect(await findings(cluster)).toEqual({
      state: "wrong",
      bad: [
        ["wrong", "mounts/pki/k8s", "does not exist", "setup-mounts mounts"],
        ["wrong", "mounts/secrets", "does not exist", "setup-mounts mounts"],
        ["due", "setup-mounts", "would make 3 changes (mount 2, CA 1)", "setup-mounts mounts"],
        ["wrong", "write-roles", "needs the mounts first", "write-roles mounts"],
      ],
    });
    await admin.write("sys/mounts/mounts/pki/k8s", { type: "kv", options: { version: "2" } });
    const { bad } = await findings(cluster);
    expect(bad).toContainEqual([
      "wrong",
      "mounts/pki/k8s",
      "is of type kv version 2, but has to be pki",
      "move mounts/pki/k8s elsewhere",
    ]);
    expect(bad).toContainEqual([
      "wrong",
      "setup-mounts",
      "mount mounts/pki/k8s is of type kv version 2, but has to be pki",
      "move that mount elsewhere, or choose another cluster id",
    ]);
  });

  test("which init tokens are not stored, unknown or invalid", async () => {
    const cluster = await makeCluster("inits");
    const { etcd, master } = await storedTokens(admin, "inits");
    await admin.write("auth/token/revoke", { token: etcd });
    await admin.remove("inits/secrets/init_token_master");
    expect(await findings(cluster)).toEqual({
      state: "wrong",
      bad: [
        ["due", "write-roles", expect.stringContaining("would make 4 changes"), "write-roles inits"],
        ["wrong", "init token etcd", "the server does not know it", "write-roles inits"],
        ["wrong", "init token master", "is not stored", "write-roles inits"],
      ],
    });
    await admin.write("inits/secrets/init_token_master", { other: master });
    const words = "secret inits/secrets/init_token_master lacks its field init_token";
    const mend = "remove that secret, or add the field";
    expect((await findings(cluster)).bad).toEqual([
      ["wrong", "write-roles", words, mend],
      ["wrong", "init token etcd", "the server does not know it", "write-roles inits"],
      ["wrong", "init token master", words, mend],
    ]);
  });

  test("which init tokens expire soon, and nothing about one that never expires", async () => {
    const cluster = await makeCluster("ending");
    const lifetime = 5 * 365 * day;
    const stateAt = async (ttl: number) => {
      const relay = startRelay(server.address, async ({ path }, _, pass) => {
        if (path !== "auth/token/lookup-self") return undefined;
        const answer = fields(await (await pass()).json());
        return Response.json({ ...answer, data: { ...fields(answer.data), ttl } });
      });
      const { bad } = await findings(cluster, clientOf(relay.address, server.rootToken));
      await relay[Symbol.asyncDispose]();
      return bad;
    };
    expect(await stateAt(lifetime / 3)).toEqual([]);
    expect(await stateAt(0)).toEqual([]);
    expect(await stateAt(lifetime / 3 - 1)).toEqual(
      ["etcd", "master", "worker", "all"].map((role) => [
        "due",
        `init token ${role}`,
        "less than a third of its lifetime is left",
        "write-roles ending",
      ]),
    );
  });
});

describe("readClusterStatus() fails", () => {
  test("if the token may not read something, and names the path", async () => {
    const cluster = await makeCluster("denied");
    const token = await tokenWith(admin, {
      "*": ["read", "list", "sudo"],
      "denied/pki/k8s/issuer/*": ["deny"],
    });
    const limited = clientOf(server.address, token);
    const { kind, message } = await failureOf(() => statusOf(cluster, limited));
    expect(kind).toBe("permission");
    expect(message).toMatch(/^GET denied\/pki\/k8s\/issuer\/\S+: permission denied/);
  });
});

/** All that a status of the cluster `demo` needs beside the policy `default`, as docs/admins.md has it. */
const documented = section(
  readFileSync(join(import.meta.dir, "../../docs/admins.md"), "utf8"),
  "What status reads",
).matchAll(/path "([^"]+)" +\{ capabilities = (\[[^\]]+\]) \}/g);
const rights: Rights = Object.fromEntries(
  [...documented].map(([, path = "", list = ""]) => [
    path.replace(/\bdemo(?=[/-])/, "limited"),
    JSON.parse(list),
  ]),
);

test("a token with the documented rights gets the whole status", async () => {
  const cluster = await makeCluster("limited");
  // Then certificates are counted as well.
  await rotateToNewKey(cluster, "limited/pki/k8s");
  const status = await statusOf(cluster, clientOf(server.address, await tokenWith(admin, rights)));
  expect(status.state).toBe("ok");
});
