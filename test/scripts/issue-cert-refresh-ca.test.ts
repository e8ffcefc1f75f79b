import { afterAll, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deleteIssuer, listIssuers } from "../../lib/vault/issuers.ts";
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
/** The requests without the one for the server's time, which the renewal of the host token would answer otherwise. */
const asked = (host: ManifestHost) =>
  host.relay.passed
    .map(({ method, path }) => `${method} ${path}`)
    .filter((it) => it !== "GET sys/seal-status");

/** A host with certificates `a` and `b` from one mount, just issued. */
async function freshHost(fields = "") {
  const mount = await makeMount(cluster);
  const host = await startManifestHost(cluster);
  for (const name of ["a", "b"]) host.write(name, `sign_path = "${mount.sign}"\n${fields}`);
  expect((await manifests(host)).code).toBe(0);
  host.relay.reset();
  return Object.assign(host, mount);
}

/** Gives the mount a new CA, and removes the old one. */
async function removeCa({ mount, replaceCa }: Awaited<ReturnType<typeof makeMount>>): Promise<void> {
  const old = await listIssuers(cluster.admin, mount);
  await replaceCa();
  for (const { id } of old) await deleteIssuer(cluster.admin, mount, id);
}

/** Everything except the times of the file that records when the CA was checked. */
const filesOf = (host: ManifestHost) =>
  Object.entries(treeOf(host.path)).filter(([name]) => !/\.set(\/ca-checked)?$/.test(name));

const verify = (destination: string) =>
  openssl(["verify", "-CAfile", `${destination}-ca.pem`, `${destination}.pem`]);

describe("issue-cert --refresh-ca with manifests", () => {
  test("asks once for each mount, and changes nothing if the CA is the same", async () => {
    await using host = await freshHost();
    const before = filesOf(host);
    expect(await manifests(host, "--refresh-ca")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(asked(host)).toEqual([`GET ${host.mount}/issuers`]);
    expect(filesOf(host)).toEqual(before);
  });

  test("trusts a new CA at once, which a run without the flag does not", async () => {
    await using host = await freshHost();
    await host.replaceCa();
    expect(await manifests(host)).toEqual({ code: 0, stdout: "", stderr: "" });
    host.relay.reset();
    const { code, stdout } = await manifests(host, "--refresh-ca");
    expect([code, stdout.match(/-ca\.pem refreshed with the server's CAs/g)?.length]).toEqual([0, 2]);
    // One list for both, and one new issuer.
    expect(asked(host)).toEqual([`GET ${host.mount}/issuers`, expect.stringContaining("/issuer/")]);
    expect(host.file("a-ca.pem").match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    verify(host.destinationOf("a"));
    host.relay.reset();
    expect((await manifests(host, "--refresh-ca")).stdout).toBe("");
    expect(asked(host)).toEqual([`GET ${host.mount}/issuers`]);
  });

  test("issues certificates from a new CA at once if the old one is gone", async () => {
    await using host = await freshHost();
    await removeCa(host);
    const { code, stdout } = await manifests(host, "--refresh-ca");
    const words = /\.pem issued \(the server no longer has the CA that signed it\)/g;
    expect([code, stdout.match(words)?.length]).toEqual([0, 2]);
    verify(host.destinationOf("a"));
  });

  test("writes a CA's new certificate without a new one for the host, and runs the hooks", async () => {
    await using host = await startManifestHost(cluster);
    const { sign, reissueCa } = await makeMount(cluster);
    host.write("a", `sign_path = "${sign}"\n${host.onChange('echo "$VAULT_HELPER_CHANGED" >> $1')}`);
    await manifests(host);
    await reissueCa();
    const before = host.file("a.pem");
    const { code, stdout } = await run(host, "--config", join(host.certs, "a.toml"), "--refresh-ca");
    expect(code).toBe(0);
    expect(stdout).toContain("a-ca.pem refreshed with the server's CAs");
    expect(host.file("a.pem")).toBe(before);
    expect(host.logged()).toEqual(["certificate key ca", "ca"]);
  });

  test("requests no certificate before its window, and says when that opens", async () => {
    const { window, opens } = closedWindow();
    await using host = await freshHost(`window = "${window}"`);
    await host.replaceCa();
    const before = treeOf(host.path);
    expect(await manifests(host, "--refresh-ca")).toEqual({
      code: 0,
      stdout: "",
      stderr: ["a", "b"]
        .map(
          (name) =>
            `issue-cert: ${name}: the server's CAs are not checked before the window opens, at ${opens}\n`,
        )
        .join(""),
    });
    expect(asked(host)).toEqual([]);
    expect(treeOf(host.path)).toEqual(before);
  });

  test.each([
    [["--check"], "--refresh-ca and --check can't be used together: --check asks no server"],
    [
      ["--hooks", "only"],
      "--refresh-ca and --hooks only can't be used together: --hooks only asks no server",
    ],
  ])("can't be used with %j", async (flags, words) => {
    await using host = await startManifestHost(cluster);
    const { code, stdout, stderr } = await manifests(host, "--refresh-ca", ...flags);
    expect({ code, stdout, told: stderr.split("\n")[0] }).toEqual({
      code: 64,
      stdout: "",
      told: `issue-cert: ${words}`,
    });
  });
});

describe("issue-cert --if-due --refresh-ca", () => {
  /** A host with a certificate from a direct call. */
  async function directHost() {
    const mount = await makeMount(cluster);
    const host = await startManifestHost(cluster);
    const words = [mount.sign, "direct", host.destination];
    expect((await run(host, ...words)).code).toBe(0);
    host.relay.reset();
    const wish = (...flags: string[]) => run(host, "--if-due", ...flags, ...words);
    return Object.assign(host, mount, { words, wish });
  }

  test("issues from a new CA if the old one is gone, which a call without the flag does not check", async () => {
    await using host = await directHost();
    await removeCa(host);
    expect((await host.wish()).stdout).toContain(".pem is not due");
    const before = host.read(`${host.destination}-ca.pem`);
    expect((await host.wish("--refresh-ca")).stdout).toContain(
      "issued (the server no longer has the CA that signed it)",
    );
    expect(host.read(`${host.destination}-ca.pem`)).not.toBe(before);
    verify(host.destination);
  });

  test("issues from a new CA over the Go tool's plain files, and leaves those alone if the CA is the same", async () => {
    await using host = await directHost();
    const names = ["-key.pem", ".pem", "-ca.pem"].map((suffix) => host.destination + suffix);
    const plain = names.map((name) => [name, host.read(name)] as const);
    rmSync(dirname(host.destination), { recursive: true });
    mkdirSync(dirname(host.destination));
    for (const [name, text] of plain) writeFileSync(name, text, { mode: 0o600 });
    expect((await host.wish("--refresh-ca")).stdout).toContain(".pem is not due");
    expect(asked(host)).toEqual([`GET ${host.mount}/issuers`]);
    expect(names.map((name) => lstatSync(name).isFile())).toEqual([true, true, true]);
    await removeCa(host);
    expect((await host.wish("--refresh-ca")).stdout).toContain(
      "issued (the server no longer has the CA that signed it)",
    );
    verify(host.destination);
  });

  test("keeps the files' owner if a call for a new CA certificate names none", async () => {
    await using host = await directHost();
    const call = ["--force", "-o", "1234", "-g", "5678", ...host.words];
    expect((await run(host, ...call)).code).toBe(0);
    const owners = () =>
      ["-key.pem", ".pem", "-ca.pem"].map((suffix) => {
        const { uid, gid } = statSync(host.destination + suffix);
        return [uid, gid];
      });
    const certificate = host.read(`${host.destination}.pem`);
    await host.reissueCa();
    expect((await host.wish("--refresh-ca")).stdout).toContain("refreshed with the server's CAs");
    expect(host.read(`${host.destination}.pem`)).toBe(certificate);
    expect(owners()).toEqual([
      [1234, 5678],
      [1234, 5678],
      [1234, 5678],
    ]);
  });

  test("writes only a CA's new certificate, also in a kubeconfig", async () => {
    await using host = await directHost();
    const kubeconfig = join(host.path, "kubeconfig");
    const write = (...flags: string[]) =>
      host.run("write-kubeconfig", ["--if-due", ...flags, ...host.words, kubeconfig], admin);
    expect((await write()).code).toBe(0);
    const [text, certificate] = [host.read(kubeconfig), host.read(`${host.destination}.pem`)];
    await host.reissueCa();
    expect((await write()).stdout).not.toContain("written");
    expect((await write("--refresh-ca")).stdout).toContain(`${kubeconfig} written`);
    expect(host.read(`${host.destination}.pem`)).toBe(certificate);
    const ca = Buffer.from(host.read(`${host.destination}-ca.pem`)).toString("base64");
    expect(host.read(kubeconfig)).toContain(ca);
    expect(text).not.toContain(ca);
  });

  test("writes each CA of the mount into a kubeconfig, and what leads to them", async () => {
    await using host = await directHost();
    const kubeconfig = join(host.path, "kubeconfig");
    const write = (...flags: string[]) =>
      host.run("write-kubeconfig", [...flags, ...host.words, kubeconfig], admin);
    const embedded = (suffix: string) => Buffer.from(host.read(host.destination + suffix)).toString("base64");
    await write();
    await host.crossReplaceCa();
    expect((await write("--if-due", "--refresh-ca")).stdout).toContain(`${kubeconfig} written`);
    expect(host.read(`${host.destination}-ca.pem`).match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(host.read(kubeconfig)).toContain(embedded("-ca.pem"));
    await write();
    expect(host.read(`${host.destination}.pem`).match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(host.read(kubeconfig)).toContain(embedded(".pem"));
    expect(host.read(kubeconfig)).toContain(embedded("-ca.pem"));
    // Without the cross certificate, the certificate file alone changes.
    await host.removeCross();
    expect((await write("--if-due", "--refresh-ca")).stdout).toContain(`${kubeconfig} written`);
    expect(host.read(`${host.destination}.pem`).match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
    expect(host.read(kubeconfig)).toContain(embedded(".pem"));
  });

  test.each([[[]], [["--force"]], [["--if-due", "--force"]]])(
    "is refused if a new certificate is always issued: %j",
    async (flags) => {
      await using host = await directHost();
      const { code, stderr } = await run(host, "--refresh-ca", ...flags, ...host.words);
      expect(code).toBe(64);
      expect(stderr).toContain("--refresh-ca is for a certificate that is not due, and with");
      expect(host.relay.passed).toEqual([]);
    },
  );
});
