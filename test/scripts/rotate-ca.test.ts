import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../tools/main.ts";
import { api, fields } from "../cluster/api.ts";
import { addRole, clusterWithCa, sign } from "../cluster/rotated.ts";
import { relayedServer } from "../support/dev-server.ts";
import { section } from "../support/markdown.ts";
import { runScript } from "../support/script.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: server.rootToken };
const rotateCa = (...args: string[]) => runScript("vault-helper", ["rotate-ca", ...args], { env });
const day = /\d{4}-\d\d-\d\d/g;

const page = readFileSync(join(ROOT, "docs/rotation.md"), "utf8");
const documented = new Set([...section(page, "JSON").matchAll(/`(\w+)(?:\[\])?`/g)].map(([, name]) => name));

/** The names of all fields in a value, at any depth. */
function fieldsIn(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  const names = Array.isArray(value) ? [] : Object.keys(value);
  return [...names, ...Object.values(value).flatMap(fieldsIn)];
}

describe("rotate-ca", () => {
  beforeAll(async () => {
    await clusterWithCa(admin, "demo");
  });

  test("shows the plan, and writes nothing, until it is called without --dry-run and --check", async () => {
    const lines = [
      "demo/pki/k8s: g1 signs, valid until DAY",
      "add issuer g2: a new CA with a new key",
      "add issuer g2-by-g1: a cross certificate, signed by g1 until DAY",
      "make issuer g2 the default",
    ];
    const retire =
      "next: rotate-ca demo k8s --retire, once all certificates of g1 have expired (vault-helper status demo shows the day)";
    relay.reset();
    const dry = await rotateCa("--new-key", "--dry-run", "demo", "k8s");
    const check = await rotateCa("--new-key", "--check", "demo", "demo/pki/k8s");
    const toMake = "demo/pki/k8s: 3 changes to make; nothing was changed";
    for (const { stdout } of [dry, check]) {
      expect(stdout.replace(day, "DAY")).toBe([...lines, toMake, ""].join("\n"));
    }
    expect([dry.code, check.code]).toEqual([0, 2]);
    expect(relay.writes()).toEqual([]);

    const done = await rotateCa("--new-key", "demo", "k8s");
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout.replace(day, "DAY")).toBe(
      [...lines, `demo/pki/k8s: 3 changes; ${retire}`, ""].join("\n"),
    );
    const again = await rotateCa("--new-key", "--check", "demo", "k8s");
    expect(again.code).toBe(0);
    expect(again.stdout).toEndWith(
      `nothing to change: the CA that signs is less than a day old; --again makes another one; ${retire}\n`,
    );
  });

  test("renews a CA's certificate, and names the command that removes the old one", async () => {
    await clusterWithCa(admin, "aging");
    const { code, stdout, stderr } = await rotateCa("aging", "k8s");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.replace(day, "DAY")).toBe(
      [
        "aging/pki/k8s: g1 signs, valid until DAY",
        "add issuer g1-2: a new certificate for the key of g1",
        "make issuer g1-2 the default",
        "aging/pki/k8s: 2 changes; next: rotate-ca aging k8s --retire removes the certificate that was replaced, at any time",
        "",
      ].join("\n"),
    );
    const retired = await rotateCa("--retire", "aging", "k8s");
    expect([retired.code, retired.stdout.replace(day, "DAY")]).toEqual([
      0,
      "aging/pki/k8s: g1 signs, valid until DAY\nremove issuer g1 (CA, until DAY)\naging/pki/k8s: 1 change\n",
    ]);
  });

  test("refuses to retire a CA that is in use, with the names and the day", async () => {
    await clusterWithCa(admin, "used");
    await sign(admin, "used/pki/k8s", "etcd-1");
    await rotateCa("--new-key", "used", "k8s");
    relay.reset();
    const { code, stdout, stderr } = await rotateCa("--retire", "used", "k8s");
    expect([code, relay.writes()]).toEqual([75, []]);
    expect(stdout).toMatch(
      /^keep g1: 1 certificate of it in use, the last until (.* UTC)\n {2}etcd-1: 1, the last until \1\nkeep g1: g2 was made/m,
    );
    expect(stderr).toMatch(
      /^vault-helper rotate-ca: g1 of used\/pki\/k8s can't be retired yet: 1 certificate/,
    );
    expect(stderr).toMatch(
      /^ {2}nothing was changed; run it again from \d{4}-\d\d-\d\d \d\d:\d\d UTC; if .* stolen, .*--reissue/m,
    );
    const json = await rotateCa("--retire", "--json", "used", "k8s");
    expect(json.code).toBe(75);
    const { older, hint } = JSON.parse(json.stdout);
    const [, from] = /again from (\S+ \S+) UTC/.exec(hint) ?? [];
    // A run at that minute would be refused again if the seconds were cut off.
    expect(Date.parse(`${from}Z`)).toBeGreaterThanOrEqual(Date.parse(older[0].readyAt));
    expect(documented).toEqual(new Set([...documented, ...fieldsIn(JSON.parse(json.stdout))]));
    expect(JSON.parse(json.stdout)).toMatchObject({
      cluster: "used",
      mount: "used/pki/k8s",
      steps: [],
      applied: 0,
      older: [{ name: "g1", certificatesInUse: 1, names: [{ name: "etcd-1", count: 1 }] }],
      exitCode: 75,
    });
  });

  test("tells that a newer CA does not sign, if somebody went back to the one before", async () => {
    await clusterWithCa(admin, "back");
    const { default: first } = await admin.find("back/pki/k8s/config/issuers");
    await rotateCa("--new-key", "back", "k8s");
    await admin.write("back/pki/k8s/config/issuers", { default: first });
    const { code, stdout } = await rotateCa("--retire", "back", "k8s");
    expect(code).toBe(0);
    expect(stdout).toEndWith(
      "nothing to change: there is no older CA; g2 is newer and does not sign: rotate-ca back k8s --new-key makes it sign\n",
    );
  });

  test("names the CA that can go first, which need not be the oldest", async () => {
    await clusterWithCa(admin, "twice");
    await addRole(admin, "twice/pki/k8s", { max_ttl: "720h" });
    await sign(admin, "twice/pki/k8s", "etcd-1", "720h");
    await rotateCa("--new-key", "twice", "k8s");
    await rotateCa("--new-key", "--again", "twice", "k8s");
    const { stdout } = await rotateCa("--retire", "--dry-run", "twice", "k8s");
    expect(stdout).toMatch(/; next: g2 can go from .* UTC$/m);
  });

  test("by force lists what breaks, then prints the certificate of the CA that it has removed", async () => {
    await clusterWithCa(admin, "theft");
    await sign(admin, "theft/pki/k8s", "etcd-1");
    await rotateCa("--new-key", "theft", "k8s");
    const { code, stdout, stderr } = await rotateCa("--retire", "--force", "--delete-key", "theft", "k8s");
    expect([code, stderr]).toEqual([0, ""]);
    expect(
      stdout
        .replace(day, "DAY")
        .replace(/-[0-9a-f]{30,}/, "")
        .split("\n-----BEGIN")[0],
    ).toMatch(
      new RegExp(
        [
          "theft/pki/k8s: g1 does not sign, valid until DAY",
          "theft/pki/k8s: g2 signs, valid until DAY",
          "these certificates of g1 stop working:",
          "  etcd-1: 1, the last until .* UTC",
          "programs that trust only g1, or only CAs before it, will refuse the certificates of every other CA",
          "revoke 1 certificate of g1",
          "publish the CRL of g1",
          "keep the certificate of g1 in secret theft/secrets/retired-ca-k8s",
          "remove issuer g2-by-g1 .cross certificate, until DAY.",
          "remove issuer g1 .CA, until DAY.",
          "delete the key of g1",
          "certificate of g1:",
        ].join("\n"),
      ),
    );
    expect(stdout.match(/-----BEGIN CERTIFICATE-----/g)).toHaveLength(1);
    expect(stdout).toEndWith("theft/pki/k8s: 6 changes\n");
  });

  test("by force names the roles that can't sign afterwards, or whose certificates nobody can revoke", async () => {
    await clusterWithCa(admin, "roles");
    const { default: issuer_ref } = await admin.find("roles/pki/k8s/config/issuers");
    await admin.write("roles/pki/k8s/roles/pinned", { issuer_ref });
    await admin.write("roles/pki/k8s/roles/unseen", { no_store: true });
    await rotateCa("--new-key", "roles", "k8s");
    const { stdout } = await rotateCa("--retire", "--force", "--dry-run", "roles", "k8s");
    expect(stdout).toContain("\npinned can't sign until you give it another issuer_ref than g1\n");
    expect(stdout).toContain(
      "\ncertificates of unseen stop working, too: they are not stored, and can't be listed or revoked\n",
    );
  });

  test.each([
    [["demo", "secrets"], '"secrets" is not a PKI mount of the cluster'],
    [["other", "demo/pki/k8s"], '"demo/pki/k8s" is not a PKI mount of the cluster'],
    [["--new-key", "--retire", "demo", "k8s"], "--new-key and --retire can't be used together"],
    [["--force", "demo", "k8s"], "--force needs --retire"],
    [["--key-type", "ec", "demo", "k8s"], "--key-type needs --new-key"],
    [["--again", "demo", "k8s"], "--again needs --new-key"],
    [["--new-key", "--key-type", "dsa", "demo", "k8s"], "there is no key type dsa"],
    [["--print-policy", "--check", "demo", "k8s"], "--print-policy and --check can't be used together"],
  ])("refuses %p before it asks the server", async (args, sentence) => {
    relay.reset();
    const { code, stderr } = await rotateCa(...args);
    expect([code, relay.passed]).toEqual([64, []]);
    expect(stderr).toStartWith(`vault-helper rotate-ca: ${sentence}`);
  });

  test("needs no more than the policy that it prints", async () => {
    await clusterWithCa(admin, "least", 86_400);
    const { stdout: policy } = await rotateCa("--print-policy", "least", "k8s");
    await admin.write("sys/policies/acl/rotator", { policy });
    const { auth } = await admin.write("auth/token/create", { policies: ["rotator"] });
    const limited = { ...env, VAULT_TOKEN: String(fields(auth).client_token) };
    await sign(admin, "least/pki/k8s", "a", "10m");
    for (const flags of [[], ["--new-key"], ["--retire", "--force", "--delete-key"]]) {
      const args = ["rotate-ca", "--json", ...flags, "least", "k8s"];
      const { code, stderr, stdout } = await runScript("vault-helper", args, { env: limited });
      expect([flags, code, stderr]).toEqual([flags, 0, ""]);
      const outcome = JSON.parse(stdout);
      expect(outcome.applied).toBeGreaterThan(1);
      expect(documented).toEqual(new Set([...documented, ...fieldsIn(outcome)]));
    }
  });
});
