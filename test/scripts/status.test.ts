import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { age, closedWindow } from "../manifest/host.ts";
import { makeMount } from "../manifest/mount.ts";
import { startCluster } from "../support/cluster-server.ts";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { treeOf } from "../support/tree.ts";
import { until } from "../support/wait.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** Any role's certificate may be had with it. */
const admin = { VAULT_TOKEN: cluster.rootToken };

/** Has all that the host's manifests ask for issued. */
async function issue(host: ManifestHost, ...args: string[]): Promise<void> {
  const issued = await host.run("issue-cert", ["--config-dir", host.certs, ...args], admin);
  if (issued.code !== 0) throw new Error(issued.stderr);
}

const ask = (host: ManifestHost, ...args: string[]) =>
  host.run("status", ["--config-dir", host.certs, ...args]);

/** What it says, in a few words a thing: `wrong certificate etcd: it has expired`. */
async function findings(host: ManifestHost, ...args: string[]) {
  const { code, stdout } = await ask(host, "--json", ...args);
  const all = JSON.parse(stdout);
  const words = (name: string, { state, reasons }: { state: string; reasons: string[] }) =>
    state === "ok" && reasons.length === 0 ? [] : [`${state} ${name}: ${reasons.join("; ")}`];
  const told = [
    ...["server", "clock", "token"].flatMap((name) => words(name, all[name])),
    ...["manifests", "hooks", "units", "permission"].flatMap((name) =>
      all[name].flatMap((one: never) => words(name, one)),
    ),
    ...all.certificates.flatMap((one: never) => words(`certificate ${Object(one).name}`, one)),
  ];
  return { code, told, all };
}

/** What has issued what is due: with this host's own configuration directory, which is not the usual one. */
const mend = (host: ManifestHost) => `issue-cert --config-path ${host.config} --config-dir ${host.certs}`;

/** A host with one certificate, `etcd`. */
async function hostWithOne(fields = "", fault?: Parameters<typeof startManifestHost>[1]) {
  const host = await startManifestHost(cluster, fault);
  host.write("etcd", fields);
  await issue(host);
  host.relay.reset();
  return host;
}

describe("status of a host that is well", () => {
  test("tells each thing in a line, ends with 0, and changes nothing", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd", 'san_hosts = ["localhost"]\nip_sans = ["127.0.0.1", "fd00::1"]');
    await issue(host);
    host.relay.reset();
    const before = treeOf(host.path);
    const { code, stdout, stderr } = await ask(host);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^STATE {2}WHAT {14}LEFT {3,5}DUE \(UTC\) {9}ABOUT$/),
      expect.stringMatching(
        /^ok {5}certificate etcd {2}29d 23h {2,3}20\d\d-\d\d-\d\d \d\d:\d\d {2}etcd, EC P-256/,
      ),
      expect.stringMatching(
        /^ok {5}token {13}(4y 364d|5y {5}) {2}20\d\d-\d\d-\d\d \d\d:\d\d {2}accessor \w+ \(demo\/worker\)$/,
      ),
      expect.stringMatching(/^ok {5}clock {40,41}as the server's$/),
      expect.stringMatching(/^ok {5}server {39,40}http:\/\/127\.0\.0\.1:\d+$/),
      "4 ok",
      "",
    ]);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    expect(stdout).not.toContain("\u001b");
    expect(treeOf(host.path)).toEqual(before);
    expect(host.relay.passed.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET auth/token/lookup-self",
      "GET demo/pki/etcd-overlay/issuer/default/json",
    ]);
  });

  test("prints nothing at log level 0, and asks nobody with --offline", async () => {
    await using host = await hostWithOne();
    expect(await ask(host, "-l", "0")).toEqual({ code: 0, stdout: "", stderr: "" });
    host.relay.reset();
    const { code, told } = await findings(host, "--offline");
    expect({ code, told }).toEqual({
      code: 0,
      told: ["unknown server: not asked", "unknown clock: not asked", "unknown token: not asked"],
    });
    expect(host.relay.passed).toEqual([]);
  });

  test("asks once for the token, once for each mount, all over one connection", async () => {
    await using host = await startManifestHost(cluster);
    await using proxy = await startCountingProxy(cluster.address);
    const { sign } = await makeMount(cluster);
    const paths = ["demo/pki/etcd-overlay/sign/client", "demo/pki/etcd-k8s/sign/server", sign];
    for (let i = 0; i < 200; i++) host.write(`it-${i}`, `sign_path = "${paths[i % paths.length]}"`);
    await issue(host);
    host.relay.reset();
    const { code, all } = await findings(host);
    expect([code, all.certificates.length]).toEqual([0, 200]);
    expect(host.relay.passed.length).toBe(1 + paths.length);
    const direct = { VAULT_ADDR: proxy.address };
    expect((await host.run("status", ["--config-dir", host.certs], direct)).code).toBe(0);
    expect(proxy.takeConnections()).toBe(1);
  }, 60_000);

  test("without any certificate says how one of a direct call is named", async () => {
    await using host = await startManifestHost(cluster);
    const { code, stdout } = await host.run("status");
    expect(code).toBe(0);
    expect(stdout).toContain(
      "3 ok; no certificate is known here: name those of direct calls with --destination",
    );
  });

  test("tells of the certificates of direct calls, too, once each", async () => {
    await using host = await hostWithOne();
    const direct = join(host.path, "direct/proxy");
    const call = ["demo/pki/k8s/sign/kube-proxy", "system:kube-proxy", direct];
    expect((await host.run("issue-cert", call, admin)).code).toBe(0);
    const given = ["--destination", `${direct},${host.destinationOf("etcd")}`, "--destination", direct];
    const { code, told, all } = await findings(host, ...given);
    expect({ code, told }).toEqual({ code: 0, told: [] });
    expect(all.certificates).toEqual([
      expect.objectContaining({ name: "etcd", manifest: join(host.certs, "etcd.toml") }),
      expect.objectContaining({
        name: "proxy",
        manifest: null,
        signPath: "demo/pki/k8s/sign/kube-proxy",
        caOnServer: "same",
        keyMatches: true,
        replacedAt: null,
      }),
    ]);
  });
});

describe("status ends with 2 for", () => {
  const short = async (ttl = "25s") => (await makeMount(cluster, ttl)).sign;

  test("a certificate that is past its time", async () => {
    // It begins half a minute before it is signed, so more than half of its life is over at once.
    await using host = await hostWithOne(`sign_path = "${await short()}"`);
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: less than half of its life is left"],
    });
    expect(all.certificates[0].dueInSeconds).toBeLessThan(0);
    expect(all.certificates[0].mend).toBe(mend(host));
    const { stdout } = await ask(host);
    expect(stdout).toEndWith(`\n1 due, 3 ok; to mend it: ${mend(host)}\n`);
    expect(stdout).toMatch(/^due {4}certificate etcd {2}\d+s +now {15}less than half of its life is left/m);
  });

  test("one of a direct call, and names the call", async () => {
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

  test("another CA on the server, which is looked at again after a week", async () => {
    const { sign, replaceCa, reissueCa } = await makeMount(cluster);
    await using host = await hostWithOne(`sign_path = "${sign}"`);
    await reissueCa();
    expect(await findings(host)).toMatchObject({
      code: 2,
      told: ["due certificate etcd: the server's CA has a new certificate"],
      all: { certificates: [{ caOnServer: "renewed" }] },
    });
    await replaceCa();
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: the server has another CA by now"],
    });
    const [one] = all.certificates;
    expect([one.caOnServer, one.mend]).toEqual(["other", `${mend(host)} --refresh-ca`]);
    const days = (Date.parse(one.replacedAt) - Date.now()) / 86_400_000;
    expect([days > 6.9, days <= 7]).toEqual([true, true]);
    age(`${host.destinationOf("etcd")}-ca.pem`, 8);
    expect((await findings(host)).all.certificates[0].mend).toBe(`${mend(host)} --refresh-ca`);
    const { window } = closedWindow();
    host.write("etcd", `sign_path = "${sign}"\nwindow = "${window}"`);
    expect((await findings(host)).all.certificates[0].mend).toBe(null);
    host.write("etcd", `sign_path = "${sign}"`);
    // One command does all: what is due, the hooks that are left, and the CA.
    host.write("other", `san_hosts = ["one"]\n${host.onChange("true")}`);
    await issue(host, "--hooks", "later");
    host.write("other", `san_hosts = ["another"]\n${host.onChange("true")}`);
    await replaceCa();
    expect((await ask(host)).stdout).toEndWith(`; to mend it: ${mend(host)} --refresh-ca\n`);
    await issue(host, "--refresh-ca");
    expect(await findings(host)).toMatchObject({ code: 0, told: [] });
  });

  test("another CA on the server of a direct call, which the call that is named takes", async () => {
    const { sign, reissueCa } = await makeMount(cluster);
    await using host = await startManifestHost(cluster);
    const direct = join(host.path, "ssl/it");
    expect((await host.run("issue-cert", [sign, "it", direct], admin)).code).toBe(0);
    await reissueCa();
    const { all } = await findings(host, "--destination", direct);
    const { mend } = all.certificates[0];
    expect(mend).toBe(`issue-cert --config-path ${host.config} --if-due --refresh-ca ${sign} it ${direct}`);
    const [, , , ...words] = mend.split(" ");
    expect((await host.run("issue-cert", words, admin)).stdout).toContain("is the server's CA again");
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

  test("a token that the server does not know, where an init token waits", async () => {
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

  test("a token near its end", async () => {
    await using host = await hostWithOne();
    const made = Object(
      await cluster.write("auth/token/create-orphan", { ttl: "1h", policies: ["default"] }),
    );
    await cluster.write("auth/token/renew", { token: made.auth.client_token, increment: "10m" });
    host.put("token", made.auth.client_token);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 2, told: ["due token: less than a third of its life is left"] });
  });

  test("files that others may read", async () => {
    await using host = await hostWithOne();
    chmodSync(join(host.config, "token"), 0o644);
    chmodSync(`${host.destinationOf("etcd")}-key.pem`, 0o640);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due token: others may read its file", "due certificate etcd: others may read its key"],
    });
    expect((await host.issue()).code).toBe(0);
    expect((await findings(host)).code).toBe(0);
  });

  test("a hook that is still to run", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd", host.onChange("exit 1"));
    await issue(host, "--hooks", "later");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 2, told: ["due hooks: has not succeeded since the change"] });
    expect(all.hooks[0]).toMatchObject({
      manifests: ["etcd"],
      mend: `${mend(host)} --hooks only`,
    });
    expect(all.certificates[0].hookPending).toBe(true);
    expect((await ask(host)).stdout).toMatch(
      /^due +hook +\/bin\/sh .* \(for etcd\) has not succeeded since the change$/m,
    );
  });

  test("what is asked for and is not so", async () => {
    await using host = await hostWithOne();
    host.write("etcd", 'key_type = "rsa"\nsan_hosts = ["new.example"]');
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({
      code: 2,
      told: ["due certificate etcd: the key is EC P-256, not RSA 2048; the names are not those asked for"],
    });
  });
});

test("status ends with 0 for a certificate that waits for its window, and tells when that is", async () => {
  const { window, opens } = closedWindow();
  await using host = await hostWithOne();
  host.write("etcd", `san_hosts = ["new.example"]\nwindow = "${window}"`);
  const { code, told, all } = await findings(host);
  expect({ code, told }).toEqual({
    code: 0,
    told: ["ok certificate etcd: the names are not those asked for; it waits for its window"],
  });
  expect(all.certificates[0].replacedAt).toStartWith(opens.slice(0, 16).replace(" ", "T"));
  expect((await ask(host)).stdout).toContain(opens.slice(0, 16));
  expect((await host.issue("--check")).code).toBe(0);
});

test("status ends with 0 for a certificate that is renewed at each run, and says so", async () => {
  await using host = await hostWithOne('renew = "always"');
  expect(await findings(host)).toMatchObject({
    code: 0,
    told: ["ok certificate etcd: it is renewed at each run"],
  });
});

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
    ["a key that is none", "-key.pem", "nothing", "the key holds no private key in PEM"],
    ["a broken certificate", ".pem", "nothing", "the certificate file holds no certificate in PEM"],
    ["the CA of another", "-ca.pem", createCa().pem, "the CA file's CA did not sign it"],
  ])("%s", async (_, suffix, content, reason) => {
    await using host = await hostWithOne();
    writeFileSync(host.destinationOf("etcd") + suffix, content);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [`wrong certificate etcd: ${reason}`] });
  });

  test("a certificate that was never issued", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: ["wrong certificate etcd: there is none yet"] });
    expect(all.certificates[0].mend).toBe(mend(host));
    expect(existsSync(join(host.path, "ssl"))).toBe(false);
  });

  test.each([
    ["no token", undefined, "there is none; no init token waits either: an admin has to put one there"],
    ["an empty token", "", "its file is empty; no init token waits either: an admin has to put one there"],
    [
      "a token that the server does not know",
      "hvs.nobody-knows-it",
      "the server does not know it: it expired, was revoked, or is another server's; no init token waits either: an admin has to put one there",
    ],
  ])("%s", async (_, token, reason) => {
    await using host = await hostWithOne();
    if (token === undefined) rmSync(join(host.config, "token"));
    else host.put("token", token);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [`wrong token: ${reason}`] });
  });

  test("a clock that is not the server's, and judges by the server's", async () => {
    let aheadMs = 86_400_000;
    await using host = await hostWithOne("", async (_request, _number, pass) => {
      const answer = await pass();
      const headers = new Headers(answer.headers);
      headers.set("Date", new Date(Date.now() + aheadMs).toUTCString());
      return new Response(answer.body, { status: answer.status, headers });
    });
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
    expect(told.at(-1)).toBe("due certificate etcd: less than a third of its life is left");
    expect(Math.round(all.clock.serverAheadSeconds / 86_400)).toBe(25);
    aheadMs = 30_000;
    expect((await findings(host)).code).toBe(0);
  });

  test("manifests that can't be used, and tells of the others", async () => {
    await using host = await hostWithOne();
    writeFileSync(join(host.certs, "broken.toml"), "sign_path = 1\n");
    const { code, told, all } = await findings(host);
    expect({ code, told }).toEqual({
      code: 1,
      told: [`wrong manifests: ${join(host.certs, "broken.toml")}:1: sign_path has to be a text`],
    });
    expect(all.certificates.length).toBe(1);
  });

  test("a folder of manifests that is not there, is empty, or is anybody's", async () => {
    await using host = await startManifestHost(cluster);
    expect((await findings(host)).told).toEqual([expect.stringContaining("holds no manifest (*.toml)")]);
    chmodSync(host.certs, 0o777);
    expect((await findings(host)).told).toEqual([expect.stringContaining("can be written by others")]);
    rmSync(host.certs, { recursive: true });
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [expect.stringContaining("no such file or folder")] });
  });

  test("settings of the server that can't be right, and tells the rest", async () => {
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

  test("a place that is another's", async () => {
    await using host = await startManifestHost(cluster);
    host.write("etcd");
    mkdirSync(join(host.path, "ssl/.etcd.set"), { recursive: true });
    chmodSync(join(host.path, "ssl/.etcd.set"), 0o777);
    const { code, told } = await findings(host);
    expect({ code, told }).toEqual({ code: 1, told: [expect.stringContaining("is not this tool's alone")] });
  });
});

describe("status refuses before it asks anybody", () => {
  test.each([
    [["--destination", "."], "can't be a certificate's destination"],
    [["--prometheus", "/tmp/metrics"], "does not end in .prom"],
    [["--config-dir"], "--config-dir needs a value"],
    [["--nothing"], "there is no flag --nothing"],
  ])("%j", async (args, words) => {
    await using host = await startManifestHost(cluster);
    const { code, stdout, stderr } = await host.run("status", args);
    expect({ code, stdout, stderr }).toEqual({
      code: 64,
      stdout: "",
      stderr: expect.stringContaining(words),
    });
    expect(host.relay.passed).toEqual([]);
  });
});
