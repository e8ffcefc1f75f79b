import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createVaultClient } from "../../lib/vault/client.ts";
import { lookupSelf } from "../../lib/vault/token.ts";
import { trace } from "../crash/strace.ts";
import { findSet, promise, promiseMatching, promiseNarrow, promiseTidy } from "../crash/world.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import type { Fault } from "../support/relay.ts";
import { type ScriptResult, scriptPath } from "../support/script.ts";
import { until } from "../support/wait.ts";

// Many runs on one host at the same time. All succeed and send no more requests than necessary.

let cluster: ClusterServer;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const signPath = "demo/pki/k8s/sign/kubelet";
const tenTimes = Array.from({ length: 10 });

type Kind = (host: Host) => Promise<ScriptResult>;

const issue = (host: Host, ...flags: string[]) =>
  host.run("issue-cert", [...flags, signPath, "kubelet", host.destination]);

const renew: Kind = (host) => host.run("renew-token");
const wish: Kind = (host) => issue(host, "--if-due");
const order: Kind = (host) => issue(host);
const newKey: Kind = (host) => issue(host, "--force");

const told = /^(\S+: (waiting for another run that holds \S+|the init token was exchanged [^\n]+)\n)*$/;

/** Runs all at once. Expects each to succeed, with only notes about waiting or about the exchange. */
async function together(host: Host, kinds: readonly Kind[]): Promise<string[]> {
  const results = await Promise.all(kinds.map((kind) => kind(host)));
  const isWell = ({ code, stderr }: ScriptResult) => code === 0 && told.test(stderr);
  expect(results.filter((result) => !isWell(result))).toEqual([]);
  return results.map(({ stdout }) => stdout);
}

async function hostWith(files: Partial<Record<"token" | "init-token", string>>, fault?: Fault) {
  const host = startHost(cluster.address, fault);
  if (files["init-token"] !== undefined) host.put("init-token", files["init-token"]);
  if (files.token !== undefined) host.put("token", files.token);
  return host;
}

/** How often each path was requested. */
function asked({ relay }: Host) {
  const times = (path: string) => relay.passed.filter((it) => it.path === path).length;
  const [created, renewed] = [times("auth/token/create/demo-worker"), times("auth/token/renew-self")];
  return { created, renewed, signed: times(signPath), all: relay.passed.length };
}

/** Expects one token that the server knows, and no init token. */
async function expectOneToken(host: Host): Promise<void> {
  const token = host.read(`${host.config}/token`).trim();
  await lookupSelf(createVaultClient({ address: cluster.address }), token);
  expect(readdirSync(host.config).sort()).toEqual(["token"]);
}

function expectOneSet({ path, destination }: Host): void {
  const set = findSet(destination);
  promise(set !== undefined, "there is no certificate");
  promiseMatching(set);
  promiseNarrow(path);
  promiseTidy(path);
}

test("ten runs exchange one init token for one host token, and nine of them renew it", async () => {
  await using host = await hostWith({ "init-token": await cluster.initToken("worker") });
  const said = await together(
    host,
    tenTimes.map(() => renew),
  );
  expect(said.filter((line) => line.startsWith("init token exchanged"))).toHaveLength(1);
  expect(said.filter((line) => line.startsWith("token renewed"))).toHaveLength(9);
  expect(asked(host)).toEqual({ created: 1, renewed: 9, signed: 0, all: 11 });
  await expectOneToken(host);
});

test("ten runs with an expired host token exchange the init token once", async () => {
  const token = await cluster.hostToken("worker");
  await cluster.write("auth/token/revoke", { token });
  await using host = await hostWith({ token, "init-token": await cluster.initToken("worker") });
  await together(
    host,
    tenTimes.map(() => renew),
  );
  expect(asked(host).created).toBe(1);
  // Each finds the expired token or the new one, and all but one renew the new one.
  expect(asked(host).renewed).toBeWithin(10, 20);
  await expectOneToken(host);
});

test("a run whose token has expired finds the one that another run got meanwhile", async () => {
  const token = await cluster.hostToken("worker");
  await cluster.write("auth/token/revoke", { token });
  const exchanged = Promise.withResolvers<void>();
  const fault: Fault = async (_request, number, pass) => {
    if (number !== 1) return undefined;
    // The first run learns that its token has expired only after the second is done.
    const answer = await pass();
    await exchanged.promise;
    return answer;
  };
  await using host = await hostWith({ token, "init-token": await cluster.initToken("worker") }, fault);
  const first = renew(host);
  while (host.relay.passed.length === 0) await Bun.sleep(5);
  expect(await renew(host)).toMatchObject({ code: 0, stdout: expect.stringContaining("exchanged") });
  exchanged.resolve();
  expect(await first).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("token renewed"),
    stderr: "",
  });
  expect(asked(host).created).toBe(1);
});

test("ten runs with the same manifest have a certificate issued once", async () => {
  await using host = await hostWith({ token: await cluster.hostToken("worker") });
  const said = await together(
    host,
    tenTimes.map(() => wish),
  );
  expect(said.filter((line) => line.includes("issued (there is none yet)"))).toHaveLength(1);
  expect(said.filter((line) => line.includes("is not due"))).toHaveLength(9);
  expect(asked(host)).toEqual({ created: 0, renewed: 10, signed: 1, all: 12 });
  expectOneSet(host);
});

test("ten direct calls have ten certificates issued for one key", async () => {
  await using host = await hostWith({ token: await cluster.hostToken("worker") });
  const said = await together(
    host,
    tenTimes.map(() => order),
  );
  expect(said.filter((line) => line.includes("key made"))).toHaveLength(1);
  expect(said.filter((line) => line.includes("key kept"))).toHaveLength(9);
  expect(asked(host)).toEqual({ created: 0, renewed: 10, signed: 10, all: 21 });
  expectOneSet(host);
});

test("ten runs of each kind at once on a new host leave one token and one certificate set", async () => {
  await using host = await hostWith({ "init-token": await cluster.initToken("worker") });
  await together(
    host,
    tenTimes.flatMap(() => [renew, wish, order, newKey]),
  );
  const { created, renewed, signed, all } = asked(host);
  expect({ created, renewed }).toEqual({ created: 1, renewed: 39 });
  // If a manifest's run comes first, it issues one more than the direct calls.
  expect(signed).toBeWithin(20, 22);
  // Two more requests look at the init token and at the server's CAs.
  expect(all).toBe(created + renewed + signed + 2);
  await expectOneToken(host);
  expectOneSet(host);
});

test("a run that reads the files while another replaces them by links accepts them as the set's", async () => {
  const wishTraced = async (fault?: { call: string; nth: number; what: string }) => {
    const host = await hostWith({ token: await cluster.hostToken("worker") });
    mkdirSync(dirname(host.destination));
    writeFileSync(`${host.destination}-key.pem`, newKeyPem());
    const command = [await scriptPath("issue-cert"), "--config-path", host.config, "--if-due", signPath];
    const run = trace([...command, "kubelet", host.destination], {
      env: host.env,
      folder: host.path,
      ...(fault === undefined ? {} : { fault }),
    });
    return { host, run };
  };
  const first = await wishTraced();
  await using _ = first.host;
  const look = (await first.run).calls.find(
    ({ name, line }) => name === "readlink" && /kubelet-ca\.pem/.test(line),
  );
  if (look === undefined) throw new Error("the look was not seen");
  const late = await wishTraced({ call: "readlink", nth: look.nth, what: "delay_exit=3000000" });
  await using host = late.host;
  await until(() => host.relay.passed.length > 0);
  await Bun.sleep(500);
  expect(await order(host)).toMatchObject({ code: 0 });
  expect(await late.run).toMatchObject({ code: 0, stderr: "" });
  expectOneSet(host);
});

function newKeyPem(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}
