import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ExitCode } from "../../lib/failure.ts";
import { type IssueOptions, issueCertificate } from "../../lib/tasks/issue-certificate.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { isFor, readCertificates } from "../../lib/x509/certificate.ts";
import { readKey } from "../../lib/x509/key.ts";
import { type KeyType, keyTypeName } from "../../lib/x509/key-type.ts";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import { makeFifo, temporaryFolder } from "../support/folder.ts";
import { openssl, opensslEcKey, opensslKey, opensslRsaKey } from "../support/openssl.ts";
import { type Fault, startRelay } from "../support/relay.ts";
import { createCa } from "../support/set.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const day = 86_400_000;
const names = {
  commonName: "etcd-1",
  organisations: [],
  dnsNames: ["a.example.com"],
  ipAddresses: ["10.0.0.1"],
};
const suffixes = { key: "-key.pem", certificate: ".pem", ca: "-ca.pem" } as const;

/** A destination in a folder of its own, and what stands between it and the server. */
function place(fault?: Fault) {
  const folder = temporaryFolder();
  const relay = startRelay(cluster.address, fault);
  const client = createVaultClient({ address: relay.address, token: cluster.rootToken, maxRetries: 0 });
  const destination = join(folder.path, "ssl", "etcd");
  const path = (file: keyof typeof suffixes) => destination + suffixes[file];
  return {
    folder: folder.path,
    relay,
    client,
    destination,
    path,
    read: (file: keyof typeof suffixes) => readFileSync(path(file), "utf8"),
    /** Puts plain files there, as the Go tool left them. */
    put(files: Partial<Record<keyof typeof suffixes, string>>) {
      mkdirSync(dirname(destination), { recursive: true });
      for (const file of ["key", "certificate", "ca"] as const) {
        const content = files[file];
        if (content !== undefined)
          writeFileSync(path(file), content, { mode: file === "key" ? 0o600 : 0o644 });
      }
    },
    issue: (more: Partial<IssueOptions> = {}) =>
      issueCertificate({
        client,
        signPath: "demo/pki/etcd-k8s/sign/server",
        names,
        destination,
        ifDue: false,
        force: false,
        caChain: false,
        signal: AbortSignal.timeout(20_000),
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

type Place = ReturnType<typeof place>;

/** The three belong together, and openssl takes the certificate for one of that CA. */
async function expectMatching(it: Place): Promise<void> {
  const key = await readKey(it.read("key"), "it");
  const [leaf] = readCertificates(it.read("certificate"), "it");
  expect(isFor(leaf, key.key)).toBe(true);
  expect(
    openssl([
      "verify",
      "-CAfile",
      it.path("ca"),
      "-untrusted",
      it.path("certificate"),
      it.path("certificate"),
    ]),
  ).toContain(": OK");
}

describe("issueCertificate() makes", () => {
  const types: readonly KeyType[] = [
    { type: "rsa", bits: 2048 },
    { type: "rsa", bits: 3072 },
    { type: "rsa", bits: 4096 },
    { type: "ec", bits: 256 },
    { type: "ec", bits: 384 },
    { type: "ec", bits: 521 },
    { type: "ed25519", bits: 256 },
  ];
  test.each(types.map((type) => [keyTypeName(type), type] as const))(
    "a key %s and has it signed",
    async (_name, keyType) => {
      await using it = place();
      const issued = await it.issue({ keyType });
      expect(issued).toMatchObject({ outcome: "issued", reasons: [], keyType, keyKept: false });
      expect((await readKey(it.read("key"), "it")).type).toEqual(keyType);
      expect(issued.certificate.dnsNames.toSorted()).toEqual(["a.example.com", "etcd-1"]);
      expect(it.relay.passed).toEqual([{ method: "POST", path: "demo/pki/etcd-k8s/sign/server" }]);
      await expectMatching(it);
    },
  );

  test("an EC key on P-256 where no type is asked for", async () => {
    await using it = place();
    expect((await it.issue()).keyType).toEqual({ type: "ec", bits: 256 });
  });

  test("the folder 0750, the key 0600, the rest 0644, whatever the umask", async () => {
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

  test("all of it the owner's", async () => {
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

describe("issueCertificate() keeps the key that stands, to the letter:", () => {
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

  test("unless another type is asked for, or force", async () => {
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

  test("and whose it is, where no owner is asked for", async () => {
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

describe("issueCertificate() leaves everything as it is, and asks nobody, for", () => {
  const refused: ReadonlyArray<
    readonly [name: string, code: number, words: string, make: (it: Place) => void]
  > = [
    [
      "a key that is cut off",
      65,
      "holds a PEM block that is cut off",
      (it) => it.put({ key: opensslEcKey("P-256").slice(0, 150) }),
    ],
    [
      "a key that is encrypted",
      65,
      "holds a key that is encrypted",
      (it) => it.put({ key: openssl(["ec", "-aes128", "-passout", "pass:x"], opensslEcKey("P-256")) }),
    ],
    ["a key file that is empty", 65, "holds no private key in PEM", (it) => it.put({ key: "" })],
    ["a key file that is binary", 65, "holds no private key in PEM", (it) => it.put({ key: "\0\xff\0" })],
    [
      "a key file without end",
      65,
      "is longer than 262144 bytes",
      (it) => it.put({ key: "x".repeat(300_000) }),
    ],
    ["a weak key", 65, "holds an RSA key of 1024 bits", (it) => it.put({ key: opensslRsaKey(1024) })],
    [
      "a stranger's link in the key's place",
      73,
      "is a symbolic link to /etc/hostname, which this tool did not make",
      (it) => {
        it.put({});
        symlinkSync("/etc/hostname", it.path("key"));
      },
    ],
    [
      "a stranger's link in the certificate's place",
      73,
      "is a symbolic link to nowhere, which this tool did not make",
      (it) => {
        it.put({ key: opensslEcKey("P-256") });
        symlinkSync("nowhere", it.path("certificate"));
      },
    ],
    [
      "a folder in the key's place",
      65,
      "is not a plain file",
      (it) => {
        it.put({});
        mkdirSync(it.path("key"));
      },
    ],
    [
      "a FIFO in the CA's place",
      65,
      "is not a plain file",
      (it) => {
        it.put({});
        makeFifo(it.path("ca"));
      },
    ],
    [
      "a file in the folder's place",
      73,
      "is not a folder",
      (it) => writeFileSync(dirname(it.destination), "x"),
    ],
  ];
  test.each(refused)("%s", async (_name, code, words, make) => {
    await using it = place();
    make(it);
    const before = contentOf(it);
    const failure = await failureOf(() => it.issue());
    expect(failure.message).toContain(words);
    expect(failure.message).toContain(it.folder);
    expect(failure.exitCode).toBe(code as ExitCode);
    expect(it.relay.passed).toEqual([]);
    expect(contentOf(it)).toEqual(before);
  });

  test("a broken key, until it is told to make a new one", async () => {
    await using it = place();
    it.put({ key: "broken" });
    const failure = await failureOf(() => it.issue({ ifDue: true }));
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.hint).toContain("--force");
    expect(it.read("key")).toBe("broken");
    await it.issue({ force: true });
    await expectMatching(it);
  });

  /** Without what a lock leaves. */
  function contentOf(it: Place) {
    const ours = /^ssl$|^ssl\/\.etcd\.set(\/lock)?$|^\.$/;
    return Object.entries(treeOf(it.folder)).filter(([name]) => !ours.test(name));
  }
});

describe("issueCertificate() changes nothing on disk when", () => {
  const otherCa = createCa();
  /** Signs with a CA of our own in the server's place, whatever key is asked for. */
  const answer =
    (certificate: string, issuingCa: string, caChain: string[] = []): Fault =>
    () =>
      Response.json({ data: { certificate, issuing_ca: issuingCa, ca_chain: caChain, serial_number: "1" } });
  const json =
    (status: number, body: unknown): Fault =>
    () =>
      Response.json(body, { status });

  const faults: ReadonlyArray<readonly [name: string, code: number, words: string, fault: Fault]> = [
    [
      "the certificate is for another key",
      65,
      "is for another key",
      answer(otherCa.sign(opensslEcKey("P-256"), names), otherCa.pem),
    ],
    [
      "the answer is HTML",
      69,
      "",
      () => new Response("<html>", { headers: { "Content-Type": "text/html" } }),
    ],
    ["the answer holds no certificate", 69, "", json(200, { data: { issuing_ca: otherCa.pem } })],
    ["the certificate is no PEM", 65, "holds no certificate", answer("nothing", otherCa.pem)],
    ["the server is sealed", 75, "sealed", json(503, { errors: ["Vault is sealed"] })],
    ["the token may not sign", 77, "permission denied", json(403, { errors: ["permission denied"] })],
  ];
  test.each(faults)("%s", async (_name, code, words, fault) => {
    let spoiled = false;
    await using it = place((...seen) => (spoiled ? fault(...seen) : undefined));
    await it.issue();
    const before = treeOf(it.folder);
    spoiled = true;
    for (const more of [{}, { force: true }]) {
      const failure = await failureOf(() => it.issue(more));
      expect(failure.message).toContain(words);
      expect(failure.exitCode).toBe(code as ExitCode);
    }
    expect(treeOf(it.folder)).toEqual(before);
  });

  test.each([
    [
      "is signed by another CA than the one beside it",
      "is not signed by the CA",
      { issuing_ca: otherCa.pem },
    ],
    ["came with another", "is for another key", undefined],
  ])("the certificate %s", async (_name, words, swap) => {
    let previous: Record<string, unknown> = {};
    await using it = place(async (_seen, number, pass) => {
      const response = await pass();
      const body = JSON.parse(await response.text());
      if (number === 1) previous = body.data;
      else Object.assign(body.data, swap ?? previous);
      return Response.json(body);
    });
    await it.issue();
    const before = treeOf(it.folder);
    const failure = await failureOf(() => it.issue({ force: true }));
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.message).toContain(words);
    expect(treeOf(it.folder)).toEqual(before);
  });

  test("a role leaves names out", async () => {
    await cluster.write("demo/pki/etcd-k8s/roles/own-names", {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
      allow_ip_sans: true,
      use_csr_sans: false,
      use_csr_common_name: false,
      ttl: "1h",
    });
    // The request's names are what this role takes: swapped on the way, they are another host's.
    await using it = place();
    await it.issue();
    const before = treeOf(it.folder);
    await using relay = startRelay(cluster.address, async (_seen, _number) => {
      const csr = openssl(["req", "-new", "-key", it.path("key"), "-subj", "/CN=etcd-1"]);
      const data = await cluster.admin.request({
        method: "POST",
        path: "demo/pki/etcd-k8s/sign/own-names",
        body: { csr, common_name: "etcd-1" },
        capability: "update",
        repeatable: true,
      });
      return Response.json(data);
    });
    const client = createVaultClient({ address: relay.address, token: cluster.rootToken });
    const failure = await failureOf(() => it.issue({ client }));
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.message).toEndWith("lacks what was asked for: a.example.com, 10.0.0.1");
    expect(treeOf(it.folder)).toEqual(before);
  });

  test("the certificate is over already", async () => {
    await cluster.write("demo/pki/etcd-k8s/roles/moment", {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
      ttl: "1s",
    });
    await using it = place(async (_seen, number, pass) => {
      const response = await pass();
      if (number > 1) await Bun.sleep(1500);
      return response;
    });
    await it.issue();
    const before = treeOf(it.folder);
    const failure = await failureOf(() => it.issue({ signPath: "demo/pki/etcd-k8s/sign/moment" }));
    expect(failure.exitCode).toBe(ExitCode.data);
    expect(failure.message).toMatch(/ended .* before it began to be used/);
    expect(treeOf(it.folder)).toEqual(before);
  });
});

describe("issueCertificate() with ifDue", () => {
  test("touches nothing and asks nobody while what stands is as asked", async () => {
    await using it = place();
    await it.issue({ ifDue: true });
    it.relay.reset();
    const before = treeOf(it.folder);
    const standing = await it.issue({ ifDue: true });
    expect(standing).toMatchObject({ outcome: "not due", reasons: [] });
    const life = standing.certificate.notAfter.getTime() - standing.certificate.notBefore.getTime();
    expect(standing.certificate.notAfter.getTime() - standing.dueAt.getTime()).toBe(life / 3);
    expect(it.relay.passed).toEqual([]);
    expect(treeOf(it.folder)).toEqual(before);
  });

  test("issues when a third of the life is left by the server's clock, and says why", async () => {
    await using it = place();
    await it.issue();
    const ahead = (days: number): IssueOptions["client"] => ({
      ...it.client,
      clockAheadMs: () => days * day,
    });
    expect(await it.issue({ ifDue: true, client: ahead(19.9) })).toMatchObject({ outcome: "not due" });
    expect(await it.issue({ ifDue: true, client: ahead(20.1) })).toMatchObject({
      outcome: "issued",
      reasons: ["less than a third of its life is left"],
      keyKept: true,
    });
  });

  const changes: ReadonlyArray<readonly [name: string, more: Partial<IssueOptions>, reason: string]> = [
    [
      "a host name more",
      { names: { ...names, dnsNames: ["a.example.com", "b.example.com"] } },
      "the names are not those asked for",
    ],
    [
      "an address more",
      { names: { ...names, ipAddresses: ["10.0.0.1", "fd00::1"] } },
      "the names are not those asked for",
    ],
    [
      "an organisation more",
      { names: { ...names, organisations: ["a"] } },
      "the names are not those asked for",
    ],
    ["another type of key", { keyType: { type: "ed25519", bits: 256 } }, "the key is EC P-256, not Ed25519"],
    [
      "another sign path",
      { signPath: "demo/pki/etcd-overlay/sign/server" },
      "it came from demo/pki/etcd-k8s/sign/server",
    ],
  ];
  test.each(changes)("issues once when asked for %s", async (_name, more, reason) => {
    await using it = place();
    await it.issue({ ifDue: true });
    expect(await it.issue({ ifDue: true, ...more })).toMatchObject({ outcome: "issued", reasons: [reason] });
    // An organisation that the role does not grant must not make each run issue again.
    expect(await it.issue({ ifDue: true, ...more })).toMatchObject({ outcome: "not due" });
    await expectMatching(it);
  });

  const damages: ReadonlyArray<readonly [name: string, reason: string, damage: (it: Place) => void]> = [
    ["its CA file is gone", "ca missing", (it) => rmSync(it.path("ca"))],
    ["its certificate is gone", "certificate missing", (it) => rmSync(it.path("certificate"))],
    [
      "its key was replaced by another",
      "the key belongs to another certificate",
      (it) => replace(it.path("key"), opensslEcKey("P-256")),
    ],
    [
      "its CA was replaced by another",
      "the CA file's CA did not sign it",
      (it) => replace(it.path("ca"), createCa().pem),
    ],
    [
      "its certificate is broken",
      "the certificate file holds no certificate in PEM",
      (it) => replace(it.path("certificate"), ""),
    ],
  ];
  test.each(damages)("issues once when %s", async (_name, reason, damage) => {
    await using it = place();
    await it.issue();
    damage(it);
    expect(await it.issue({ ifDue: true })).toMatchObject({ outcome: "issued", reasons: [reason] });
    await expectMatching(it);
    expect(await it.issue({ ifDue: true })).toMatchObject({ outcome: "not due" });
  });

  test("sets mode and owner again where they are wrong, and issues nothing", async () => {
    await using it = place();
    await it.issue();
    chmodSync(it.path("key"), 0o644);
    chownSync(it.path("ca"), 1234, 1234);
    it.relay.reset();
    const notes: string[] = [];
    const standing = await it.issue({
      ifDue: true,
      owner: { uid: 0, gid: 0 },
      onNote: (note) => notes.push(note),
    });
    expect(standing.outcome).toBe("not due");
    expect(notes).toEqual(
      [it.path("key"), it.path("ca")].map((path) => `${path} has its owner and mode set again`),
    );
    expect((statSync(it.path("key")).mode & 0o777).toString(8)).toBe("600");
    expect(statSync(it.path("ca")).uid).toBe(0);
    expect(it.relay.passed).toEqual([]);
  });

  test("takes the Go tool's plain files for what they are, and leaves them", async () => {
    await using made = place();
    await made.issue();
    await using it = place();
    it.put({ key: made.read("key"), certificate: made.read("certificate"), ca: made.read("ca") });
    const before = treeOf(it.folder);
    expect(await it.issue({ ifDue: true })).toMatchObject({ outcome: "not due" });
    expect(treeOf(it.folder)).toEqual(before);
    expect(lstatSync(it.path("key")).isFile()).toBe(true);
  });

  test("has force win over it", async () => {
    await using it = place();
    await it.issue();
    const key = it.read("key");
    expect((await it.issue({ ifDue: true, force: true })).outcome).toBe("issued");
    expect(it.read("key")).not.toBe(key);
  });

  test("issues once for several at one moment, and an order each time", async () => {
    await using it = place();
    const wishes = await Promise.all([1, 2, 3].map(() => it.issue({ ifDue: true })));
    expect(wishes.map(({ outcome }) => outcome).toSorted()).toEqual(["issued", "not due", "not due"]);
    expect(it.relay.writes()).toHaveLength(1);
    const orders = await Promise.all([1, 2, 3].map(() => it.issue({ force: true })));
    expect(new Set(orders.map(({ certificate }) => certificate.x509.serialNumber)).size).toBe(3);
    await expectMatching(it);
  });

  function replace(path: string, content: string): void {
    rmSync(path);
    writeFileSync(path, content, { mode: 0o600 });
  }
});

describe("issueCertificate() at other destinations", () => {
  test("serves two in one folder, and touches neither's files for the other", async () => {
    await using it = place();
    await it.issue();
    const before = treeOf(join(dirname(it.destination), ".etcd.set"));
    const other = join(dirname(it.destination), "etc");
    await it.issue({ destination: other, names: { ...names, commonName: "other" } });
    await it.issue({ destination: other, names: { ...names, commonName: "other" } });
    await expectMatching(it);
    expect(treeOf(join(dirname(it.destination), ".etcd.set"))).toEqual(before);
  });

  test("refuses one whose certificate would be another's key", async () => {
    await using it = place();
    await it.issue();
    const failure = await failureOf(() => it.issue({ destination: `${it.destination}-key` }));
    expect(failure.exitCode).toBe(ExitCode.cantCreate);
    await expectMatching(it);
  });

  test.each(["", ".", "..", "/", "dir/", "dir/.", "dir/..", "-rf", "a\nb"])(
    "refuses %j",
    async (destination) => {
      await using it = place();
      const failure = await failureOf(() => it.issue({ destination }));
      expect(failure.exitCode).toBe(ExitCode.usage);
      expect(it.relay.passed).toEqual([]);
      expect(existsSync(dirname(it.destination))).toBe(false);
    },
  );
});
