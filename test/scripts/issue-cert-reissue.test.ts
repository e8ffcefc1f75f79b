import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { closedWindow } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { openssl } from "../support/openssl.ts";
import { treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const admin = { VAULT_TOKEN: cluster.rootToken };
const run = (host: ManifestHost, ...args: string[]) => host.run("issue-cert", args, admin);
const manifests = (host: ManifestHost, ...args: string[]) => run(host, "--config-dir", host.certs, ...args);

/** A host with certificates `a`, and `b` whose window is closed, just issued. */
async function freshHost() {
  const mount = await makeMount(cluster);
  const host = await startManifestHost(cluster);
  const { window } = closedWindow();
  const hook = host.onChange('echo "$VAULT_HELPER_CHANGED" >> $1');
  host.write("a", `sign_path = "${mount.sign}"\n${hook}`);
  host.write("b", `sign_path = "${mount.sign}"\nwindow = "${window}"`);
  expect((await manifests(host)).code).toBe(0);
  host.relay.reset();
  return Object.assign(host, mount);
}

describe("issue-cert --config-dir --reissue", () => {
  test("replaces every certificate, outside windows too, keeps the keys and runs the hooks", async () => {
    await using host = await freshHost();
    const read = () => ["a-key.pem", "b-key.pem", "a.pem", "b.pem"].map(host.file);
    const before = read();
    expect(await manifests(host)).toMatchObject({ code: 0, stdout: "" });
    host.relay.reset();
    const { code, stdout, stderr } = await manifests(host, "--reissue");
    expect({
      code,
      stderr,
      issued: stdout.match(/\.pem issued: valid until .* key kept$/gm)?.length,
    }).toEqual({
      code: 0,
      stderr: "",
      issued: 2,
    });
    const after = read();
    expect(after.map((text, i) => text === before[i])).toEqual([true, true, false, false]);
    expect(host.logged()).toEqual(["certificate key ca", "certificate"]);
    // It asks for the CAs in any case: in an emergency, they may have changed.
    expect(host.relay.passed.map(({ path }) => path).filter((path) => path !== "sys/seal-status")).toEqual([
      host.sign,
      host.sign,
      `${host.mount}/issuers`,
    ]);
    const { certificates } = JSON.parse((await manifests(host, "--reissue", "--json")).stdout);
    expect(certificates).toMatchObject([{ outcome: "issued" }, { outcome: "issued" }]);
  });

  test("takes certificates from a new CA", async () => {
    await using host = await freshHost();
    await host.replaceCa();
    expect((await run(host, "--config", join(host.certs, "b.toml"), "--reissue")).code).toBe(0);
    expect(host.file("b-ca.pem").match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    const destination = host.destinationOf("b");
    openssl(["verify", "-CAfile", `${destination}-ca.pem`, `${destination}.pem`]);
    expect(host.file("a-ca.pem").match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
  });

  test("refuses a key that others could change, as any other run", async () => {
    await using host = await freshHost();
    chmodSync(`${host.destinationOf("a")}-key.pem`, 0o666);
    const before = host.file("a.pem");
    const { code, stderr } = await manifests(host, "--reissue");
    expect([code, host.file("a.pem") === before]).toEqual([65, true]);
    expect(stderr).toContain("a-key.pem is not used: others can write it");
  });

  test.each([
    [["--check"], "--reissue and --check can't be used together: --check asks no server"],
    [["--hooks", "only"], "--reissue and --hooks only can't be used together: --hooks only asks no server"],
    [
      ["--refresh-ca"],
      "--reissue and --refresh-ca can't be used together: new certificates bring the server's CAs with them",
    ],
    [["--if-due"], "--if-due can't be used with manifests: they have a field for it"],
    [["--force"], "--force can't be used with manifests: they have a field for it"],
  ])("can't be used with %j", async (flags, words) => {
    await using host = await freshHost();
    const before = treeOf(host.path);
    const { code, stdout, stderr } = await manifests(host, "--reissue", ...flags);
    const told = stderr.split("\n")[0];
    expect({ code, stdout, told }).toEqual({ code: 64, stdout: "", told: `issue-cert: ${words}` });
    expect(host.relay.passed).toEqual([]);
    expect(treeOf(host.path)).toEqual(before);
  });

  test("is no flag of a call for one certificate, which issues at once anyway", async () => {
    await using host = await freshHost();
    const { code, stderr } = await run(host, "--reissue", host.sign, "it", host.destination);
    expect([code, stderr]).toEqual([
      64,
      "issue-cert: --reissue is for manifests: --config or --config-dir\n" +
        "  leave it out: a call for one certificate issues it at once, unless --if-due is given\n",
    ]);
    expect(host.relay.passed).toEqual([]);
  });
});
