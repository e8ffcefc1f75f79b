import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { expectCertificate, type OldHost } from "../original/host.ts";
import { startOldCluster } from "../original/server.ts";

const cluster = await startOldCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const called = [["vault-helper kubeconfig"], ["vault-helper write-kubeconfig"], ["write-kubeconfig"]];

describe.each(called)("%s", (called) => {
  let host: OldHost;
  beforeAll(async () => {
    host = await cluster.host("all");
  });
  afterAll(() => host[Symbol.dispose]());
  const kubeconfig = (...words: string[]) => host.run([...called.split(" "), ...words], cluster.env());

  test.each([
    ["admin"],
    ["kubelet"],
    ["kube-apiserver"],
    ["kube-controller-manager"],
    ["kube-proxy"],
    ["kube-scheduler"],
  ])("%s writes the certificate, and a kubeconfig with it", async (sign) => {
    const base = `/var/test/${sign}`;
    const flags = ["--init-role=test-all", "--key-type=rsa", "-b", "2048", "-o837", "--group=0"];
    const { code } = await kubeconfig(`test/pki/k8s/sign/${sign}`, sign, base, "/var/config", ...flags);
    expect(code).toBe(0);
    expectCertificate(host, { base, uid: 837, commonName: sign });
    expect(host.rights("/var/config")).toBe("0600 837:0");
    const { clusters, users, contexts, ...rest } = parse(host.read("/var/config"));
    expect(rest).toMatchObject({ apiVersion: "v1", kind: "Config" });
    const encoded = (end: string) => Buffer.from(host.read(base + end)).toString("base64");
    expect(clusters).toMatchObject([
      { name: "test", cluster: { "certificate-authority-data": encoded("-ca.pem") } },
    ]);
    expect(users).toMatchObject([
      {
        user: {
          "client-certificate-data": encoded(".pem"),
          "client-key-data": encoded("-key.pem"),
        },
      },
    ]);
    expect(contexts).toMatchObject([{ context: { cluster: "test", namespace: "kube-system" } }]);
  });

  test.each([["foo"], ["bar"]])("for the unknown role %s is refused", async (sign) => {
    const words = [`test/pki/k8s/sign/${sign}`, sign, "/var/none/test", "/var/none/config"];
    expect((await kubeconfig(...words)).code).not.toBe(0);
    expect([host.rights("/var/none/test.pem"), host.rights("/var/none/config")]).toEqual([
      undefined,
      undefined,
    ]);
  });

  test.each([[[]], [["admin", "/var/x"]], [["admin", "/var/x", "/var/y", "surplus"]]])(
    "with the arguments %j is refused",
    async (words) => {
      expect((await kubeconfig("test/pki/k8s/sign/admin", ...words)).code).not.toBe(0);
    },
  );
});

test.each(["test-foo", "bar"])("kubeconfig for the token role %s is refused", async (role) => {
  using host = await cluster.host("all");
  const words = ["kubeconfig", "test/pki/k8s/sign/admin", "admin", "/var/a", "/var/b"];
  const { code } = await host.run(["vault-helper", ...words, `--init-role=${role}`], cluster.env(""));
  expect([code === 0, host.rights("/var/b")]).toEqual([false, undefined]);
});

interface Kubeconfig {
  readonly clusters: unknown;
  readonly users: unknown;
  readonly contexts: unknown;
}

function parse(text: string): Kubeconfig {
  const value: unknown = Bun.YAML.parse(text);
  if (typeof value !== "object" || value === null) throw new Error("not a kubeconfig");
  return { clusters: undefined, users: undefined, contexts: undefined, ...value };
}
