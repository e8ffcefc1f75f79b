import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Manifest } from "../../lib/manifest/manifest.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { age, manifestHost, outcomesOf, readFiles } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";

// A server that lists neither the keys nor the serial numbers of its issuers: then the one CA counts that it names, as
// in the version before trust bundles.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

async function start(left: "none" | "key_id" | "serial_number" = "none") {
  const mount = await makeMount(cluster);
  const host = manifestHost(cluster, async ({ path }, _, pass) => {
    if (!path.endsWith("/issuers")) return undefined;
    const answer: { data: { key_info: Record<string, Record<string, unknown>> } } = Object(
      await (await pass()).json(),
    );
    for (const info of Object.values(answer.data.key_info)) {
      for (const field of ["key_id", "serial_number"]) if (field !== left) delete info[field];
    }
    return Response.json(answer);
  });
  const named = `${mount.mount}/issuer/default/json`;
  return Object.assign(host, mount, { asked: [`${mount.mount}/issuers`, named] });
}

type Host = Awaited<ReturnType<typeof start>>;

/** The paths of the requests since the last call, without the one for the server's time. */
function takePaths({ relay }: Host): string[] {
  const paths = relay.passed.map(({ path }) => path).filter((path) => path !== "sys/seal-status");
  relay.reset();
  return paths;
}

/** Runs a manifest whose CA check is due. */
async function check(host: Host, manifest: Manifest) {
  age(`${manifest.destination}-ca.pem`, 8);
  const checked = manifest.destination.replace(/([^/]+)$/, ".$1.set/ca-checked");
  if (await Bun.file(checked).exists()) age(checked, 8);
  takePaths(host);
  const outcomes = outcomesOf(await host.run(manifest));
  return [...outcomes, ...takePaths(host)];
}

describe("with a server that lists no keys or no serial numbers,", () => {
  test.each(["none", "key_id", "serial_number"] as const)(
    "of which it has %j, a run asks for one CA",
    async (left) => {
      await using host = await start(left);
      const manifest = host.manifest("it", host.sign);
      expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
      expect(takePaths(host)).toEqual([host.sign, ...host.asked]);
      expect(await check(host, manifest)).toEqual(["not due", ...host.asked]);
      const renewed = host.manifest("it", host.sign, 'san_hosts = ["a"]');
      expect(outcomesOf(await host.run(renewed))).toEqual(["issued"]);
      expect(takePaths(host)).toEqual([host.sign]);
    },
  );

  test("a renewed CA replaces the CA file, and another CA leads to a new certificate", async () => {
    await using host = await start();
    const manifest = host.manifest("it", host.sign);
    await host.run(manifest);
    const before = readFiles(manifest);
    await host.reissueCa();
    expect(await check(host, manifest)).toEqual(["CA refreshed", ...host.asked]);
    expect(readFiles(manifest).certificate).toBe(before.certificate);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(1);
    await host.replaceCa();
    expect(await check(host, manifest)).toEqual(["issued", ...host.asked, host.sign]);
    expect(readCertificates(readFiles(manifest).ca ?? "", "it")).toHaveLength(1);
    expect(await check(host, manifest)).toEqual(["not due", ...host.asked]);
  });

  test("a role that names another CA gets one certificate, and no more", async () => {
    await using host = await start();
    await host.pin(await host.addIssuer());
    const manifest = host.manifest("it", host.sign);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    expect(host.relay.writes()).toHaveLength(2);
    const record = manifest.destination.replace(/([^/]+)$/, ".$1.set/current/request.json");
    expect(JSON.parse(readFileSync(record, "utf8")).serverCa).toMatch(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
    const same = ["not due", ...host.asked];
    expect([await check(host, manifest), await check(host, manifest)]).toEqual([same, same]);
    await host.replaceCa();
    // It is signed once, since the server has just said which CA it names.
    expect(await check(host, manifest)).toEqual(["issued", ...host.asked, host.sign]);
    expect(await check(host, manifest)).toEqual(same);
  });
});
