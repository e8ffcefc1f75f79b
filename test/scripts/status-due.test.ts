import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deleteIssuer, listIssuers } from "../../lib/vault/issuers.ts";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { age, closedWindow } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import type { Fault } from "../support/relay.ts";
import { ask, findings, issueAll, issueCommand, startHostWithOne } from "./status-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** A token that may get certificates of every role. */
const admin = { VAULT_TOKEN: cluster.rootToken };
const issue = (host: ManifestHost, ...args: string[]) => issueAll(cluster, host, ...args);
const hostWithOne = (fields?: string, fault?: Fault) => startHostWithOne(cluster, fields, fault);

describe("status ends with 2 for", () => {
  const short = async (ttl = "25s") => (await makeMount(cluster, ttl)).sign;

  test("a certificate that is due", async () => {
    // It begins half a minute before it is signed, so more than half of its lifetime is over at once.
    await using host = await hostWithOne(`sign_path = "${await short()}"`);
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: less than half of its lifetime is left"],
    });
    expect(all.certificates[0].dueInSeconds).toBeLessThan(0);
    expect(all.certificates[0].mend).toBe(issueCommand(host));
    const { stdout } = await ask(host);
    expect(stdout).toEndWith(`\n1 due, 3 ok; to fix it: ${issueCommand(host)}\n`);
    expect(stdout).toMatch(
      /^due {4}certificate etcd {2}\d+s +now {15}less than half of its lifetime is left/m,
    );
  });

  test("a certificate of a direct call, and names the call", async () => {
    await using host = await startManifestHost(cluster);
    const sign = await short("14s");
    const call = ["-s", "a.example,b.example", "-i", "127.0.0.1", sign, "it's", join(host.path, "ssl/it")];
    expect((await host.run("issue-cert", call, admin)).code).toBe(0);
    const { code, all } = await findings(host, "--destination", join(host.path, "ssl/it"));
    expect(code).toBe(1); // there is no manifest in the folder that was named
    expect(all.certificates[0]).toMatchObject({
      state: "due",
      mend: `issue-cert --config-path ${host.config} --if-due -s a.example,b.example -i 127.0.0.1 ${sign} 'it'\\''s' ${join(host.path, "ssl/it")}`,
    });
  });

  test("a certificate issued with --ca-chain, and suggests a command with that flag", async () => {
    await using host = await startManifestHost(cluster);
    const [sign, destination] = [await short("14s"), join(host.path, "ssl/it")];
    expect((await host.run("issue-cert", ["--ca-chain", sign, "it", destination], admin)).code).toBe(0);
    const { all } = await findings(host, "--destination", destination);
    expect(all.certificates[0].mend).toBe(
      `issue-cert --config-path ${host.config} --if-due --ca-chain ${sign} it ${destination}`,
    );
  });

  /** Removes each issuer with a key. */
  async function removeKey(mount: string, keyId: string | undefined): Promise<void> {
    for (const issuer of await listIssuers(cluster.admin, mount)) {
      if (issuer.keyId === keyId) await deleteIssuer(cluster.admin, mount, issuer.id);
    }
  }

  test("a new CA on the server, which is checked again after a week", async () => {
    const { mount, sign, replaceCa, reissueCa } = await makeMount(cluster);
    await using host = await hostWithOne(`sign_path = "${sign}"`);
    const old = await listIssuers(cluster.admin, mount);
    const refreshed = {
      code: 2,
      told: ["due certificate etcd: the server's CAs have changed"],
      all: { certificates: [{ caOnServer: "renewed" }] },
    };
    await reissueCa();
    expect(await findings(host)).toMatchObject(refreshed);
    await replaceCa();
    expect(await findings(host)).toMatchObject(refreshed);
    for (const { keyId } of old) await removeKey(mount, keyId);
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: the server no longer has the CA that signed it"],
    });
    const [one] = all.certificates;
    expect([one.caOnServer, one.mend]).toEqual(["other", `${issueCommand(host)} --refresh-ca`]);
    const days = (Date.parse(one.replacedAt) - Date.now()) / 86_400_000;
    expect([days > 6.9, days <= 7]).toEqual([true, true]);
    age(`${host.destinationOf("etcd")}-ca.pem`, 8);
    expect((await findings(host)).all.certificates[0].mend).toBe(`${issueCommand(host)} --refresh-ca`);
    const { window } = closedWindow();
    host.write("etcd", `sign_path = "${sign}"\nwindow = "${window}"`);
    expect((await findings(host)).all.certificates[0].mend).toBe(null);
    host.write("etcd", `sign_path = "${sign}"`);
    // One command does everything: due certificates, pending hooks, and the CA.
    host.write("other", `san_hosts = ["one"]\n${host.onChange("true")}`);
    await issue(host, "--hooks", "later");
    host.write("other", `san_hosts = ["another"]\n${host.onChange("true")}`);
    await replaceCa();
    expect((await ask(host)).stdout).toEndWith(`; to fix it: ${issueCommand(host)} --refresh-ca\n`);
    await issue(host, "--refresh-ca");
    expect(await findings(host)).toMatchObject({ code: 0, told: [] });
  });

  test("a new CA for several certificates, and asks for their mount once", async () => {
    const { mount, sign, replaceCa } = await makeMount(cluster);
    await using host = await startManifestHost(cluster);
    for (const name of ["a", "b", "c"]) host.write(name, `sign_path = "${sign}"`);
    expect((await host.run("issue-cert", ["--config-dir", host.certs], admin)).code).toBe(0);
    await replaceCa();
    host.relay.reset();
    const { all } = await findings(host);
    expect(all.certificates.map(({ caOnServer }: { caOnServer: string }) => caOnServer)).toEqual([
      "renewed",
      "renewed",
      "renewed",
    ]);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([
      "auth/token/lookup-self",
      `${mount}/issuers`,
      expect.stringContaining(`${mount}/issuer/`),
    ]);
  });

  test("a new CA on the server, and with 0 for a role that names another issuer itself", async () => {
    const { mount, sign, addIssuer, pin, replaceCa } = await makeMount(cluster);
    await pin(await addIssuer());
    await using host = await hostWithOne(`sign_path = "${sign}"`);
    const isSame = { code: 0, told: [], all: { certificates: [{ caOnServer: "same" }] } };
    expect(await findings(host)).toMatchObject(isSame);
    await replaceCa();
    expect((await findings(host)).all.certificates[0].caOnServer).toBe("renewed");
    await issue(host, "--refresh-ca");
    expect(await findings(host)).toMatchObject(isSame);
    host.write("etcd", `sign_path = "${mount}/issuer/default/sign/it"`);
    await issue(host);
    expect(await findings(host)).toMatchObject(isSame);
  });

  test("a new CA on the server for a direct call, which the suggested call fetches", async () => {
    const { sign, reissueCa } = await makeMount(cluster);
    await using host = await startManifestHost(cluster);
    const direct = join(host.path, "ssl/it");
    expect((await host.run("issue-cert", [sign, "it", direct], admin)).code).toBe(0);
    await reissueCa();
    const { all } = await findings(host, "--destination", direct);
    const { mend } = all.certificates[0];
    expect(mend).toBe(`issue-cert --config-path ${host.config} --if-due --refresh-ca ${sign} it ${direct}`);
    const [, , , ...words] = mend.split(" ");
    expect((await host.run("issue-cert", words, admin)).stdout).toContain("refreshed with the server's CA");
  });

  test("an init token that waits, and names renew-token", async () => {
    await using host = await hostWithOne();
    rmSync(join(host.config, "token"));
    host.put("init-token", await cluster.initToken("worker"));
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 2, told: ["due token: init token waiting"] });
    expect(all.token).toMatchObject({
      initTokenWaits: true,
      mend: `renew-token --config-path ${host.config}`,
    });
    expect((await host.run("renew-token")).code).toBe(0);
    expect(await findings(host)).toMatchObject({ code: 0, told: [] });
  });

  test("an init token among the unit's credentials", async () => {
    await using host = await hostWithOne();
    rmSync(join(host.config, "token"));
    const credentials = join(host.path, "credentials");
    mkdirSync(credentials, { mode: 0o700 });
    writeFileSync(join(credentials, "init-token"), await cluster.initToken("worker"), { mode: 0o400 });
    const env = { CREDENTIALS_DIRECTORY: credentials };
    const { code, stdout } = await host.run("status", ["--config-dir", host.certs], env);
    expect([code, stdout]).toEqual([2, expect.stringMatching(/^due +token +init token waiting$/m)]);
    expect((await findings(host)).code).toBe(1);
  });

  test("a token that the server does not know, if an init token waits", async () => {
    await using host = await hostWithOne();
    host.put("token", "hvs.nobody-knows-it");
    host.put("init-token", await cluster.initToken("worker"));
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: [
        "due token: the server does not know it: it expired, was revoked, or is another server's; init token waiting",
      ],
    });
  });

  test("a token near its expiry", async () => {
    await using host = await hostWithOne();
    const made = Object(
      await cluster.write("auth/token/create-orphan", { ttl: "1h", policies: ["default"] }),
    );
    const { client_token: token } = made.auth;
    host.put("token", token);
    // Less than half of it, and more than a third.
    await cluster.write("auth/token/renew", { token, increment: "25m" });
    const early = await findings(host);
    expect(early).toMatchObject({ code: 0, told: [] });
    const { expiresAt, dueAt } = early.all.token;
    expect(Date.parse(expiresAt) - Date.parse(dueAt)).toBe(20 * 60_000);
    await cluster.write("auth/token/renew", { token, increment: "10m" });
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due token: less than a third of its lifetime is left"],
    });
  });

  test("files that others may read", async () => {
    await using host = await hostWithOne();
    chmodSync(join(host.config, "token"), 0o644);
    chmodSync(`${host.destinationOf("etcd")}-key.pem`, 0o640);
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due token: others may read its file", "due certificate etcd: others may read its key"],
    });
    expect(all.token.mend).toBe(`renew-token --config-path ${host.config}`);
    expect(all.certificates[0].mend).toBe(issueCommand(host));
    expect((await host.issue()).code).toBe(0);
    expect((await findings(host)).code).toBe(0);
  });

  test("a pending hook", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd", host.onChange("exit 1"));
    await issue(host, "--hooks", "later");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 2, told: ["due hooks: has not succeeded since the change"] });
    expect(all.hooks[0]).toMatchObject({
      manifests: ["etcd"],
      mend: `${issueCommand(host)} --hooks only`,
    });
    expect(all.certificates[0].hookPending).toBe(true);
    expect((await ask(host)).stdout).toMatch(
      /^due +hook +\/bin\/sh .* \(for etcd\) has not succeeded since the change$/m,
    );
  });

  test("a certificate that is not as requested", async () => {
    await using host = await hostWithOne();
    host.write("etcd", 'key_type = "rsa"\nsan_hosts = ["new.example"]');
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: the key is EC P-256, not RSA 2048; the names are not those asked for"],
    });
  });
});
