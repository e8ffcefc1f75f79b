import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { certificateOf, expectCertificate, type OldHost } from "../original/host.ts";
import { startOldCluster } from "../original/server.ts";
import { tokenRenewal } from "../original/units.ts";

// Every call from the Go tool's README and from its own tests: its users type them, and its units run them.

const cluster = await startOldCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const { admin, env } = cluster;

describe("setup", () => {
  test("takes the ids of init tokens as the Go tool's tests give them", () => {
    expect(cluster.setUp).toMatchObject({ code: 0, stderr: "" });
  });

  test.each([
    [["setup", "cluster-name"]],
    [["--log-level=2", "setup", "cluster-name"]],
    [["setup", "cluster-name", "-l", "0", "--max-validity-ca=175200h", "--max-validity-admin", "8760h0m0s"]],
    [["setup", "--max-validity-components=720h", "cluster-name"]],
  ])(
    "runs as %j",
    async (words) => {
      expect((await admin(...words)).code).toBe(0);
    },
    60_000,
  );

  test("without a cluster is refused", async () => {
    expect((await admin("setup")).code).not.toBe(0);
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
  ])("%j with VAULT_INIT_ROLE %j exchanges the init token, then renews", async (flags, variable) => {
    using host = await cluster.host("master", { initRole: undefined });
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
    using host = await cluster.host("master", { initRole: undefined });
    expect((await host.run([...command, `--init-role=${role}`], env(""))).code).not.toBe(0);
    expect(host.read("/etc/vault/init-token")).toBe("master");
    expect(host.rights("/etc/vault/token")).toBeUndefined();
  });

  test("with the README's --init_role is refused as before, with a hint", async () => {
    using host = await cluster.host("master", { initRole: undefined });
    const { code, stderr } = await host.run([...command, "--init_role=cluster-name-master"], env());
    expect([code, stderr]).toEqual([
      64,
      `${called}: there is no flag --init_role\n  did you mean --init-role?\n`,
    ]);
  });

  test("accepts flags before its name", async () => {
    using host = await cluster.host("etcd", { initRole: undefined });
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
    host = await cluster.host("all");
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
    "%s is refused what its role does not sign, and leaves no file",
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

  test("takes every short flag, empty lists, and a path in the working folder", async () => {
    const letters = ["-b", "2048", "-tRSA", "-i=10.0.0.1,10.0.0.2", "-i", "10.0.0.3", "-s", "a,b", "-n", "o"];
    const rights = ["-o=837", "-g", "0", "-p/etc/vault", "-r", "test-all", "-l", "2"];
    const { code } = await cert("kube-apiserver", "k8s", "tmp/letters", ...letters, ...rights);
    expect(code).toBe(0);
    expectCertificate(host, {
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

  test("in the folder of the tokens, as the README has it", async () => {
    const { code } = await cert("kube-apiserver", "k8s", "/etc/vault/name");
    expect(code).toBe(0);
    expect(host.rights("/etc/vault/name-key.pem")).toBe("0600 0:0");
  });

  test.each([[[]], [["k8s"]], [["k8s", "/tmp/x", "surplus"]]])(
    "with the arguments %j is refused",
    async (words) => {
      expect((await cert("kube-apiserver", ...words)).code).not.toBe(0);
    },
  );
});

test("version prints a name and a version, as Tarmak expects", async () => {
  using host = await cluster.host("all");
  const { code, stdout } = await host.run(["/opt/bin/vault-helper", "version"]);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^vault-helper \d+\.\d+\.\d+\n$/)]);
});
