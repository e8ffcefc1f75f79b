import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { startServer } from "../../lib/server/server.ts";
import { vaultHelper } from "../../scripts/vault-helper.ts";
import { type OldHost, startOldHost } from "../original/host.ts";
import {
  certificates,
  certificateUnit,
  secrets,
  secretUnit,
  tokenRenewal,
  type WantedCertificate,
} from "../original/units.ts";
import { opensslRsaKey } from "../support/openssl.ts";
import { runScript, type ScriptResult } from "../support/script.ts";

// The Go tool's users type this, and its units run it: each call of its README, of its own tests and of Tarmak's units.

const server = await startServer({ mode: "dev-tls" });
afterAll(() => server[Symbol.asyncDispose]());
const { address, caFile } = server;
const adminEnv = { VAULT_ADDR: address, VAULT_TOKEN: server.rootToken, VAULT_CACERT: caFile ?? "" };
const tool = (...words: string[]) => runScript("vault-helper", words, { env: adminEnv });

const roles = ["etcd", "master", "worker", "all"] as const;

const started = (role: (typeof roles)[number]) =>
  startOldHost({ server: address, caFile, initToken: role, initRole: `test-${role}` });
const env = (initRole = "test-all") => ({
  VAULT_ADDR: address,
  VAULT_CAPATH: "/etc/vault/ca.pem",
  VAULT_INIT_ROLE: initRole,
});

function certificateOf(host: OldHost, base: string): X509Certificate {
  return new X509Certificate(host.read(`${base}.pem`));
}

/** What the Go tool left: the names, the rights, and three files that belong together. */
function expectFiles(
  host: OldHost,
  { base, uid, commonName, hosts = [], addresses = [] }: WantedCertificate,
) {
  expect(["-key.pem", ".pem", "-ca.pem"].map((end) => host.rights(base + end))).toEqual([
    `0600 ${uid}:0`,
    `0644 ${uid}:0`,
    `0644 ${uid}:0`,
  ]);
  const certificate = certificateOf(host, base);
  expect(certificate.subject).toContain(`CN=${commonName}`);
  const names = certificate.subjectAltName?.split(", ") ?? [];
  expect(names).toEqual(expect.arrayContaining(hosts.map((name) => `DNS:${name}`)));
  expect(names).toEqual(expect.arrayContaining(addresses.map((ip) => `IP Address:${ip}`)));
  const key = createPrivateKey(host.read(`${base}-key.pem`));
  expect([key.asymmetricKeyType, key.asymmetricKeyDetails?.modulusLength]).toEqual(["rsa", 2048]);
  expect(certificate.checkPrivateKey(key)).toBe(true);
  expect(certificate.verify(new X509Certificate(host.read(`${base}-ca.pem`)).publicKey)).toBe(true);
}

let setUp: ScriptResult;
beforeAll(async () => {
  setUp = await tool("setup", "test", ...roles.map((role) => `--init-token-${role}=${role}`));
}, 60_000);

describe("setup", () => {
  test("takes the ids of the init tokens, as the Go tool's tests give them", () => {
    expect(setUp).toMatchObject({ code: 0, stderr: "" });
  });

  test.each([
    [["setup", "cluster-name"]],
    [["--log-level=2", "setup", "cluster-name"]],
    [["setup", "cluster-name", "-l", "0", "--max-validity-ca=175200h", "--max-validity-admin", "8760h0m0s"]],
    [["setup", "--max-validity-components=720h", "cluster-name"]],
  ])(
    "runs as %j",
    async (words) => {
      expect((await tool(...words)).code).toBe(0);
    },
    60_000,
  );

  test("without a cluster is wrong", async () => {
    expect((await tool("setup")).code).not.toBe(0);
  });
});

describe.each([["vault-helper renew-token"], ["renew-token"]])("%s", (called) => {
  const command = called.split(" ");

  test.each([
    [["--init-role=test-master"], "test-all"],
    [["--init-role", "test-master"], ""],
    [["-r", "test-master", "-p", "/etc/vault"], ""],
    [["-rtest-master", "-l0", "--config-path=/etc/vault"], ""],
    [[], "test-master"],
    [["--init-role="], "test-master"],
  ])("%j with VAULT_INIT_ROLE %j trades the init token, then renews", async (flags, variable) => {
    using host = await startOldHost({ server: address, caFile, initToken: "master" });
    for (let time = 0; time < 2; time++) {
      const { code, stdout, stderr } = await host.run([...command, ...flags], env(variable));
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain("hvs.");
      expect([host.rights("/etc/vault/init-token"), host.rights("/etc/vault/token")]).toEqual([
        undefined,
        "0600 0:0",
      ]);
    }
  });

  test.each(["test-foo", "foo", ""])("for the role %j is refused, and the init token kept", async (role) => {
    using host = await startOldHost({ server: address, caFile, initToken: "master" });
    expect((await host.run([...command, `--init-role=${role}`], env(""))).code).not.toBe(0);
    expect(host.read("/etc/vault/init-token")).toBe("master");
    expect(host.rights("/etc/vault/token")).toBeUndefined();
  });

  test("with its README's --init_role is refused, as it was, and told the right one", async () => {
    using host = await startOldHost({ server: address, caFile, initToken: "master" });
    const { code, stderr } = await host.run([...command, "--init_role=cluster-name-master"], env());
    expect([code, stderr]).toEqual([
      64,
      `${called}: there is no flag --init_role\n  did you mean --init-role?\n`,
    ]);
  });

  test("finds its flags before its name, too", async () => {
    using host = await startOldHost({ server: address, caFile, initToken: "etcd" });
    const words = ["vault-helper", "-l", "2", "--init-role=test-etcd", "renew-token"];
    expect((await host.run(words, env(""))).code).toBe(0);
  });
});

describe.each([["vault-helper cert"], ["vault-helper issue-cert"], ["issue-cert"]])("%s", (called) => {
  const command = called.split(" ");
  const node = "ip-10-99-37-81.eu-west-2.compute.internal";
  const common = ["--key-type=rsa", "--key-bit-size=2048", "--owner=1000", "--group=1000"];
  let host: OldHost;
  beforeAll(async () => {
    host = await started("all");
    await host.start(tokenRenewal);
  });
  afterAll(() => host[Symbol.dispose]());
  const cert = (sign: string, ...words: string[]) =>
    host.run([...command, `test/pki/k8s/sign/${sign}`, ...words], env());

  test.each<[string, string, string[]]>([
    ["kube-apiserver", "0-99-37-81.eu-west-2.compute.internal", [`--san-hosts=${node}`]],
    ["kubelet", "0-99-37-81.eu-west-2.compute.internal", [`--san-hosts=${node}`]],
    ["admin", "admin", []],
    ["kubelet", "kubelet", [`--san-hosts=${node}`]],
    ...["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler"].map(
      (sign): [string, string, string[]] => [
        sign,
        `system:${sign}`,
        sign === "kube-apiserver" ? [`--san-hosts=${node}`, "--ip-sans=10.99.37.81"] : [],
      ],
    ),
  ])("%s %s %j writes key, certificate and CA", async (sign, commonName, flags) => {
    const { code, stderr } = await cert(sign, commonName, "/var/ssl/test", ...flags, ...common);
    expect([code, stderr]).toEqual([0, ""]);
    expect(["-key.pem", ".pem", "-ca.pem"].map((end) => host.rights(`/var/ssl/test${end}`))).toEqual([
      "0600 1000:1000",
      "0644 1000:1000",
      "0644 1000:1000",
    ]);
    expect(certificateOf(host, "/var/ssl/test").subject).toContain(`CN=${commonName}`);
    expect(host.rights("/var/ssl")).toBe("0750 1000:1000");
  });

  test.each(["admin", "kubelet"])(
    "%s is refused what its role does not sign, and nothing is left",
    async (sign) => {
      const { code, stdout } = await cert(
        sign,
        "0-99-37-81.eu-west-2.compute.internal",
        "/var/refused/test",
        `--san-hosts=${node}`,
        "--ip-sans=10.99.37.81",
        ...common,
      );
      expect([code === 0, stdout]).toEqual([false, ""]);
      expect(host.rights("/var/refused/test.pem")).toBeUndefined();
    },
  );

  test("takes every letter, empty lists, and a path of the working folder", async () => {
    const letters = ["-b", "2048", "-tRSA", "-i=10.0.0.1,10.0.0.2", "-i", "10.0.0.3", "-s", "a,b", "-n", "o"];
    const rights = ["-o=837", "-g", "0", "-p/etc/vault", "-r", "test-all", "-l", "2"];
    const { code } = await cert("kube-apiserver", "k8s", "tmp/letters", ...letters, ...rights);
    expect(code).toBe(0);
    expectFiles(host, {
      name: "letters",
      role: "",
      base: "/tmp/letters",
      uid: 837,
      commonName: "k8s",
      hosts: ["a", "b"],
      addresses: ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
    });
    const empty = ["--san-hosts=", "--ip-sans=", "--organisation="];
    expect((await cert("kube-apiserver", "k8s", "/tmp/letters", ...empty)).code).toBe(0);
    expect(certificateOf(host, "/tmp/letters").subjectAltName ?? "").not.toContain("IP");
  });

  test("beside the tokens, as its README has it", async () => {
    const { code } = await cert("kube-apiserver", "k8s", "/etc/vault/name");
    expect(code).toBe(0);
    expect(host.rights("/etc/vault/name-key.pem")).toBe("0600 0:0");
  });

  test.each([[[]], [["k8s"]], [["k8s", "/tmp/x", "surplus"]]])(
    "with the words %j is wrong",
    async (words) => {
      expect((await cert("kube-apiserver", ...words)).code).not.toBe(0);
    },
  );
});

describe.each(["etcd", "master", "worker"] as const)("a host of Tarmak's, %s,", (role) => {
  let host: OldHost;
  beforeAll(async () => {
    host = await started(role);
  });
  afterAll(() => host[Symbol.dispose]());

  test("trades its init token by its unit, and renews the day after", async () => {
    for (const how of ["init token traded for a token of this host", "token renewed"]) {
      const { code, stdout } = await host.start(tokenRenewal);
      expect([code, stdout]).toEqual([0, expect.stringContaining(how)]);
    }
    expect([host.rights("/etc/vault/init-token"), host.rights("/etc/vault/token")]).toEqual([
      undefined,
      "0600 0:0",
    ]);
  });

  test("has each of its certificates by its unit, a new one each day with the key that is there", async () => {
    for (const wanted of certificates[role]) {
      const first = await host.start(certificateUnit(wanted));
      expect([wanted.name, first.code, first.stderr]).toEqual([wanted.name, 0, ""]);
      expectFiles(host, wanted);
      const before = [host.read(`${wanted.base}-key.pem`), certificateOf(host, wanted.base).serialNumber];
      expect((await host.start(certificateUnit(wanted))).code).toBe(0);
      const after = [host.read(`${wanted.base}-key.pem`), certificateOf(host, wanted.base).serialNumber];
      expect([after[0] === before[0], after[1] === before[1]]).toEqual([true, false]);
    }
  }, 120_000);

  test("keeps the key that the Go tool made, and gets a new one where Puppet took it away", async () => {
    const [wanted] = certificates[role];
    const path = `${wanted.base}-key.pem`;
    rmSync(host.outside(path));
    const key = createPrivateKey(opensslRsaKey(2048)).export({ type: "pkcs1", format: "pem" }).toString();
    host.write(path, key);
    expect((await host.start(certificateUnit(wanted))).code).toBe(0);
    expect(host.read(path)).toBe(key);
    expectFiles(host, wanted);
    // Its module does so whenever the unit's text changes: rm -rf NAME-key.pem NAME-csr.pem
    rmSync(host.outside(path));
    expect((await host.start(certificateUnit(wanted))).code).toBe(0);
    expectFiles(host, wanted);
  });

  test("may not have another role's", async () => {
    const other = certificates[role === "etcd" ? "worker" : "etcd"][0];
    const { code, stderr } = await host.start(certificateUnit({ ...other, base: "/var/other" }));
    expect([code, stderr]).toEqual([77, expect.stringContaining("permission denied")]);
    expect(host.rights("/var/other.pem")).toBeUndefined();
  });
});

test("a host that was given a token and no role renews it by the same unit", async () => {
  using first = await started("worker");
  await first.start(tokenRenewal);
  using host = await startOldHost({ server: address, caFile });
  host.write("/etc/vault/token", first.read("/etc/vault/token"));
  const { code, stdout, stderr } = await host.start(tokenRenewal);
  expect([code, stdout, stderr]).toEqual([0, expect.stringContaining("token renewed"), ""]);
});

void secrets;
void secretUnit;
void vaultHelper;
