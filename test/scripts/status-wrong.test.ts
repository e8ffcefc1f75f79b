import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startManifestHost } from "../manifest/certs.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { type Fault, movedClock } from "../support/relay.ts";
import { createCa } from "../support/set.ts";
import { until } from "../support/wait.ts";
import { ask, findings, issueCommand, startHostWithOne } from "./status-host.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const hostWithOne = (fields?: string, fault?: Fault) => startHostWithOne(cluster, fields, fault);

describe("status ends with 1 for", () => {
  const foreignKey = opensslEcKey("P-256");

  test("a certificate that has expired", async () => {
    const { sign } = await makeMount(cluster, "3s");
    await using host = await hostWithOne(`sign_path = "${sign}"`);
    const [{ expiresAt }] = (await findings(host)).all.certificates;
    await until(() => Date.now() > Date.parse(expiresAt));
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: ["wrong certificate etcd: it has expired"] });
    expect((await ask(host)).stdout).toMatch(/^wrong {2}certificate etcd {2}expired +now +it has expired/m);
  });

  test.each([
    ["the key of another", "-key.pem", foreignKey, "the key belongs to another certificate"],
    ["a broken key", "-key.pem", "nothing", "the key holds no private key in PEM"],
    ["a broken certificate", ".pem", "nothing", "the certificate file holds no certificate in PEM"],
    ["the CA of another", "-ca.pem", createCa().pem, "the CA file's CA did not sign it"],
  ])("%s", async (_, suffix, content, reason) => {
    await using host = await hostWithOne();
    writeFileSync(host.destinationOf("etcd") + suffix, content);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [`wrong certificate etcd: ${reason}`] });
  });

  test("pending hooks that can't be read", async () => {
    await using host = await hostWithOne();
    const pending = join(host.path, "ssl/.etcd.set/pending");
    mkdirSync(pending);
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [`wrong manifests: ${pending} is not a plain file`] });
    expect(all.hooks).toEqual([]);
  });

  test("a token with a limited number of requests, of which each status uses one", async () => {
    await using host = await hostWithOne();
    const made = Object(
      await cluster.write("auth/token/create", { num_uses: 3, ttl: "1h", policies: ["default"] }),
    );
    host.put("token", made.auth.client_token);
    const words = (left: string) => [
      `wrong token: ${left}: each run uses some of them, so a host needs a token without that limit`,
    ];
    expect(await findings(host)).toMatchObject({ code: 1, told: words("it has 2 requests left") });
    await findings(host);
    expect(await findings(host)).toMatchObject({ code: 1, told: words("it is used up") });
  });

  test("a certificate that was never issued", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: ["wrong certificate etcd: there is none yet"] });
    expect(all.certificates[0].mend).toBe(issueCommand(host));
    expect(existsSync(join(host.path, "ssl"))).toBe(false);
  });

  test.each([
    ["no token", undefined, "there is none; there is no init token either: an admin has to put one there"],
    ["an empty token", "", "its file is empty; there is no init token either: an admin has to put one there"],
    [
      "a token that the server does not know",
      "hvs.nobody-knows-it",
      "the server does not know it: it expired, was revoked, or is another server's; there is no init token either: an admin has to put one there",
    ],
  ])("%s", async (_, token, reason) => {
    await using host = await hostWithOne();
    if (token === undefined) rmSync(join(host.config, "token"));
    else host.put("token", token);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [`wrong token: ${reason}`] });
  });

  test("an unknown token, even if others may read its file", async () => {
    await using host = await hostWithOne();
    host.put("token", "hvs.nobody-knows-it");
    chmodSync(join(host.config, "token"), 0o644);
    const { code, all } = await findings(host);
    expect({ code, token: all.token }).toEqual({
      code: 1,
      token: expect.objectContaining({
        state: "wrong",
        reasons: [
          "the server does not know it: it expired, was revoked, or is another server's",
          "there is no init token either: an admin has to put one there",
          "others may read its file",
        ],
        mend: null,
      }),
    });
  });

  test("a clock that differs from the server's, and judges by the server's", async () => {
    let aheadMs = 86_400_000;
    await using host = await hostWithOne(
      "",
      movedClock(() => aheadMs),
    );
    expect(await findings(host)).toMatchObject({
      code: 1,
      told: [
        expect.stringMatching(
          /^wrong clock: this host's clock is .+ behind the server's; have a time service/,
        ),
      ],
    });
    aheadMs = 25 * 86_400_000;
    const { told, all } = await findings(host);
    expect(told.at(-1)).toBe("due certificate etcd: less than a third of its lifetime is left");
    expect(Math.round(all.clock.serverAheadSeconds / 86_400)).toBe(25);
    aheadMs = 30_000;
    expect((await findings(host)).code).toBe(0);
  });

  test("manifests that can't be used, and shows the others", async () => {
    await using host = await hostWithOne();
    writeFileSync(join(host.certs, "broken.toml"), "sign_path = 1\n");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 1,
      told: [`wrong manifests: ${join(host.certs, "broken.toml")}:1: sign_path has to be a non-empty string`],
    });
    expect(all.certificates.length).toBe(1);
  });

  test("a folder of manifests that is missing, empty, or open to everyone", async () => {
    await using host = await startManifestHost(cluster);
    expect((await findings(host)).told).toEqual([expect.stringContaining("holds no manifest (*.toml)")]);
    chmodSync(host.certs, 0o777);
    expect((await findings(host)).told).toEqual([expect.stringContaining("can be written by others")]);
    rmSync(host.certs, { recursive: true });
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [expect.stringContaining("no such file or folder")] });
  });

  test("impossible settings for the server, and shows the rest", async () => {
    await using host = await hostWithOne();
    const { code, stdout } = await host.run("status", ["--config-dir", host.certs, "--json"], {
      VAULT_ADDR: "ftp://here",
    });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      server: {
        state: "wrong",
        reasons: [expect.stringContaining("is not the address of a server"), expect.any(String)],
      },
      token: { state: "unknown", reasons: ["the server could not tell"] },
      certificates: [{ state: "ok", caOnServer: "unknown" }],
    });
  });

  test("a destination that belongs to another user", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd");
    mkdirSync(join(host.path, "ssl/.etcd.set"), { recursive: true });
    chmodSync(join(host.path, "ssl/.etcd.set"), 0o777);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 1,
      told: [expect.stringContaining("can be changed by other users")],
    });
  });
});
