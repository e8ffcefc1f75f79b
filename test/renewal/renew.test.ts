import { afterAll, describe, expect, test } from "bun:test";
import { chownSync, existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { isFor, readCertificates } from "../../lib/x509/certificate.ts";
import { readKey } from "../../lib/x509/key.ts";
import { keyTypeName } from "../../lib/x509/key-type.ts";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import { keyTypes } from "../support/key-types.ts";
import { openssl, opensslEcKey, opensslKey, opensslRsaKey } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";
import { modeOf, treeOf } from "../support/tree.ts";
import { expectMatching, names, placeOn } from "./place.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const place = (fault?: Fault) => placeOn(cluster, fault);

describe("renew() makes", () => {
  test.each(keyTypes.map((type) => [keyTypeName(type), type] as const))(
    "an %s key, and has it signed",
    async (_name, keyType) => {
      await using it = place();
      const issued = await it.issue({ keyType });
      expect(issued).toMatchObject({ outcome: "issued", reasons: [], keyType, keyKept: false });
      expect((await readKey(it.read("key"), "it")).type).toEqual(keyType);
      expect(issued.certificate.dnsNames.toSorted()).toEqual(["a.example.com", "etcd-1"]);
      expect(it.relay.passed).toEqual([
        { method: "POST", path: "demo/pki/etcd-k8s/sign/server" },
        { method: "GET", path: "demo/pki/etcd-k8s/issuers" },
      ]);
      await expectMatching(it);
    },
  );

  test("an EC key on P-256 if no type is asked for", async () => {
    await using it = place();
    expect((await it.issue()).keyType).toEqual({ type: "ec", bits: 256 });
  });

  test("the folder 0750, the key 0600, and the rest 0644, with any umask", async () => {
    for (const umask of [0o000, 0o077]) {
      const before = process.umask(umask);
      try {
        await using it = place();
        await it.issue();
        expect(modeOf(dirname(it.destination))).toBe("750");
        const modes = (["key", "certificate", "ca"] as const).map((file) =>
          (statSync(it.path(file)).mode & 0o7777).toString(8),
        );
        expect(modes).toEqual(["600", "644", "644"]);
        expect(modeOf(join(dirname(it.destination), ".etcd.set"))).toBe("755");
      } finally {
        process.umask(before);
      }
    }
  });

  test("files that belong to the owner", async () => {
    await using it = place();
    await it.issue({ owner: { uid: 4321, gid: 8765 } });
    for (const path of [dirname(it.destination), it.path("key"), it.path("certificate"), it.path("ca")]) {
      const { uid, gid } = statSync(path);
      expect([path, uid, gid]).toEqual([path, 4321, 8765]);
    }
  });

  test("a certificate with every address and organisation that the role grants", async () => {
    await cluster.write("demo/pki/etcd-k8s/roles/granting", {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
      organization: ["one", "two"],
      ttl: "1h",
    });
    await using it = place();
    const { certificate } = await it.issue({
      signPath: "demo/pki/etcd-k8s/sign/granting",
      names: { ...names, commonName: "Größe 1", ipAddresses: ["10.0.0.1", "FD00:0::1"] },
    });
    expect(certificate.commonName).toBe("Größe 1");
    expect(certificate.organisations).toEqual(["one", "two"]);
    expect(certificate.ipAddresses).toEqual(["0a000001", "fd000000000000000000000000000001"]);
  });
});

describe("renew() keeps the key, byte for byte:", () => {
  const rsa = opensslRsaKey(2048);
  const ec = opensslEcKey("P-384");
  const version2 = `-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
`;
  test.each([
    ["RSA in PKCS #8", rsa],
    ["RSA in PKCS #1", openssl(["rsa", "-traditional"], rsa)],
    ["EC in PKCS #8", ec],
    ["EC in SEC 1", openssl(["ec"], ec)],
    ["EC in SEC 1 after its parameters", openssl(["ecparam", "-name", "secp384r1"]) + openssl(["ec"], ec)],
    ["EC in SEC 1 without its point", openssl(["ec", "-no_public"], ec)],
    ["Ed25519", opensslKey("ED25519")],
    ["Ed25519 with its public key", version2],
    ["with other line ends and text around it", `made by hand\r\n${ec.replaceAll("\n", "\r\n")}`],
  ])("%s", async (_name, key) => {
    await using it = place();
    it.put({ key });
    expect((await it.issue()).keyKept).toBe(true);
    expect(it.read("key")).toBe(key);
    const first = it.read("certificate");
    // And in the set that it is in now, too.
    expect((await it.issue()).keyKept).toBe(true);
    expect(it.read("key")).toBe(key);
    expect(it.read("certificate")).not.toBe(first);
    const [leaf] = readCertificates(it.read("certificate"), "it");
    expect(isFor(leaf, (await readKey(key, "it")).key)).toBe(true);
  });

  test("unless another type or a new key is asked for", async () => {
    await using it = place();
    it.put({ key: rsa });
    expect(await it.issue({ keyType: { type: "rsa", bits: 2048 } })).toMatchObject({ keyKept: true });
    expect(await it.issue({ keyType: { type: "ec", bits: 256 } })).toMatchObject({ keyKept: false });
    const key = it.read("key");
    expect(await it.issue({ force: true })).toMatchObject({
      keyKept: false,
      keyType: { type: "ec", bits: 256 },
    });
    expect(it.read("key")).not.toBe(key);
    await expectMatching(it);
  });

  test("and its owner, if no owner is asked for", async () => {
    await using it = place();
    it.put({ key: ec });
    chownSync(it.path("key"), 1234, 5678);
    for (let i = 0; i < 2; i++) {
      await it.issue();
      const { uid, gid } = statSync(it.path("key"));
      expect([uid, gid]).toEqual([1234, 5678]);
    }
    await it.issue({ owner: { uid: 0, gid: 0 } });
    expect(statSync(it.path("key")).uid).toBe(0);
  });
});

describe("renew() at other destinations", () => {
  test("serves two in one folder, and never touches the files of the other", async () => {
    await using it = place();
    await it.issue();
    const before = treeOf(join(dirname(it.destination), ".etcd.set"));
    const other = join(dirname(it.destination), "etc");
    await it.issue({ destination: other, names: { ...names, commonName: "other" } });
    await it.issue({ destination: other, names: { ...names, commonName: "other" } });
    await expectMatching(it);
    expect(treeOf(join(dirname(it.destination), ".etcd.set"))).toEqual(before);
  });

  test("refuses a destination whose certificate would replace another one's key", async () => {
    await using it = place();
    await it.issue();
    const failure = await failureOf(() => it.issue({ destination: `${it.destination}-key` }));
    expect(failure.kind).toBe("file");
    await expectMatching(it);
  });

  test.each(["", ".", "..", "/", "dir/", "dir/.", "dir/..", "-rf", "a\nb"])(
    "refuses %j",
    async (destination) => {
      await using it = place();
      const failure = await failureOf(() => it.issue({ destination }));
      expect(failure.kind).toBe("usage");
      expect(it.relay.passed).toEqual([]);
      expect(existsSync(dirname(it.destination))).toBe(false);
    },
  );
});
