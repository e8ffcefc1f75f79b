import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey } from "node:crypto";
import type { OldHost } from "../original/host.ts";
import { startOldCluster } from "../original/server.ts";
import { secrets, secretUnit } from "../original/units.ts";

const cluster = await startOldCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const key = "test/secrets/service-accounts";

describe.each([["vault-helper read"], ["vault-helper read-secret"], ["read-secret"]])("%s", (called) => {
  let host: OldHost;
  beforeAll(async () => {
    host = await cluster.host("all");
  });
  afterAll(() => host[Symbol.dispose]());
  const read = (...words: string[]) => host.run([...called.split(" "), ...words], cluster.env());

  test("prints the whole answer as JSON", async () => {
    const { code, stdout } = await read(key, "--init-role=test-all");
    expect(code).toBe(0);
    const answer = JSON.parse(stdout);
    expect(Object.keys(answer)).toEqual(expect.arrayContaining(["request_id", "lease_duration", "data"]));
    expect(answer.data.key).toStartWith("-----BEGIN RSA PRIVATE KEY-----\n");
  });

  test.each([
    [["-f", "key", "-d", "/etc/kubernetes/key.pem", "--owner=837", "--group=0"]],
    [["--field=key", "--dest-path=/etc/kubernetes/key.pem", "-o", "837", "-g", "0", "-l", "2"]],
    [["-fkey", "-d=/etc/kubernetes/key.pem", "-o837", "-g=0", "-p", "/etc/vault", "-r", "test-all"]],
  ])("%j writes a field unchanged, for its owner only", async (flags) => {
    const { code, stderr } = await read(key, ...flags);
    expect([code, stderr.includes("PRIVATE")]).toEqual([0, false]);
    expect(host.rights("/etc/kubernetes/key.pem")).toBe("0600 837:0");
    expect(createPrivateKey(host.read("/etc/kubernetes/key.pem")).asymmetricKeyDetails?.modulusLength).toBe(
      4096,
    );
  });

  test.each([[[]], [[key, "surplus"]], [[key, "-f", "nothing"]], [["test/secrets/nothing"]]])(
    "%j is refused",
    async (words) => {
      const { code, stdout } = await read(...words);
      expect([code === 0, stdout]).toEqual([false, ""]);
    },
  );
});

describe.each(["etcd", "master", "worker", "all"] as const)("a host %s reads", (role) => {
  test("what its role may read, and no init token", async () => {
    using host = await cluster.host(role);
    const codes = await Promise.all(
      ["service-accounts", ...["all", "etcd", "master", "worker"].map((it) => `init_token_${it}`)].map(
        async (name) => {
          const words = ["vault-helper", "read", `test/secrets/${name}`, `--init-role=test-${role}`];
          return (await host.run(words, cluster.env(""))).code;
        },
      ),
    );
    expect(codes).toEqual([role === "master" || role === "all" ? 0 : 77, 77, 77, 77, 77]);
  });
});

test("a Tarmak master reads its secrets with Tarmak's units", async () => {
  using host = await cluster.host("master");
  for (const wanted of secrets) {
    for (const run of ["first", "again"]) {
      const { code } = await host.start(secretUnit(wanted));
      expect([wanted.name, run, code]).toEqual([wanted.name, run, 0]);
      expect(host.rights(wanted.file)).toBe(`0600 ${wanted.uid}:0`);
    }
  }
  const [serviceAccounts, encryption] = secrets.map(({ file }) => host.read(file));
  expect(serviceAccounts).toStartWith("-----BEGIN RSA PRIVATE KEY-----\n");
  expect(encryption).toStartWith("kind: EncryptionConfig\n");
});
