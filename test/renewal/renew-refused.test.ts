import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { FailureKind } from "../../lib/failure.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { startCluster } from "../support/cluster-server.ts";
import { failureOf } from "../support/failure.ts";
import { openssl, opensslEcKey, opensslRsaKey } from "../support/openssl.ts";
import { type Fault, startRelay } from "../support/relay.ts";
import { createCa } from "../support/set.ts";
import { treeOf } from "../support/tree.ts";
import { expectMatching, names, type Place, placeOn } from "./place.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const place = (fault?: Fault) => placeOn(cluster, fault);

describe("renew() leaves everything as it is, and asks nobody, for", () => {
  const refused: ReadonlyArray<
    readonly [name: string, code: FailureKind, words: string, make: (it: Place) => void]
  > = [
    [
      "a key that is cut off",
      "data",
      "holds a PEM block that is cut off",
      (it) => it.put({ key: opensslEcKey("P-256").slice(0, 150) }),
    ],
    [
      "a key that is encrypted",
      "data",
      "holds a key that is encrypted",
      (it) => it.put({ key: openssl(["ec", "-aes128", "-passout", "pass:x"], opensslEcKey("P-256")) }),
    ],
    ["a key file that is empty", "data", "holds no private key in PEM", (it) => it.put({ key: "" })],
    ["a key file that is binary", "data", "holds no private key in PEM", (it) => it.put({ key: "\0\xff\0" })],
    [
      "a key file without end",
      "data",
      "is longer than 262144 bytes",
      (it) => it.put({ key: "x".repeat(300_000) }),
    ],
    ["a weak key", "data", "holds an RSA key of 1024 bits", (it) => it.put({ key: opensslRsaKey(1024) })],
    [
      "a foreign link in the key's place",
      "file",
      "is a symbolic link to /etc/hostname, which this tool did not make",
      (it) => {
        it.put({});
        symlinkSync("/etc/hostname", it.path("key"));
      },
    ],
    [
      "a foreign link in the certificate's place",
      "file",
      "is a symbolic link to nowhere, which this tool did not make",
      (it) => {
        it.put({ key: opensslEcKey("P-256") });
        symlinkSync("nowhere", it.path("certificate"));
      },
    ],
    [
      "a folder in the key's place",
      "data",
      "is not a plain file",
      (it) => {
        it.put({});
        mkdirSync(it.path("key"));
      },
    ],
    [
      "a file in the folder's place",
      "file",
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
    expect(failure.kind).toBe(code as FailureKind);
    expect(it.relay.passed).toEqual([]);
    expect(contentOf(it)).toEqual(before);
  });

  test("a key that others can write, which is not even opened", async () => {
    await using it = place();
    await it.issue();
    it.relay.reset();
    // Longer than any key that is read.
    writeFileSync(it.path("key"), "x".repeat(300 * 1024));
    chmodSync(it.path("key"), 0o666);
    for (const options of [{ ifDue: true }, {}]) {
      const failure = await failureOf(() => it.issue(options));
      expect(failure.message).toEndWith("is not used: others can write it");
      expect(failure.hint).toContain("if it is right, chmod 0600 it; else have a new key made");
    }
    expect(it.relay.passed).toEqual([]);
  });

  test("a broken key, until a new one is asked for", async () => {
    await using it = place();
    it.put({ key: "broken" });
    const failure = await failureOf(() => it.issue({ ifDue: true }));
    expect(failure.kind).toBe("data");
    expect(failure.hint).toContain("--force");
    expect(it.read("key")).toBe("broken");
    await it.issue({ force: true });
    await expectMatching(it);
  });

  /** Without the folders that are made. */
  function contentOf(it: Place) {
    const ours = /^ssl$|^ssl\/\.etcd\.set$|^\.$/;
    return Object.entries(treeOf(it.folder)).filter(([name]) => !ours.test(name));
  }
});

describe("renew() changes nothing on disk when", () => {
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

  const faults: ReadonlyArray<readonly [name: string, code: FailureKind, words: string, fault: Fault]> = [
    [
      "the certificate is for another key",
      "data",
      "is for another key",
      answer(otherCa.sign(opensslEcKey("P-256"), names), otherCa.pem),
    ],
    [
      "the answer is HTML",
      "unavailable",
      "",
      () => new Response("<html>", { headers: { "Content-Type": "text/html" } }),
    ],
    ["the answer holds no certificate", "unavailable", "", json(200, { data: { issuing_ca: otherCa.pem } })],
    ["the certificate is no PEM", "data", "holds no certificate", answer("nothing", otherCa.pem)],
    ["the server is sealed", "temporary", "sealed", json(503, { errors: ["Vault is sealed"] })],
    [
      "the token may not sign",
      "permission",
      "permission denied",
      json(403, { errors: ["permission denied"] }),
    ],
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
      expect(failure.kind).toBe(code as FailureKind);
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
    expect(failure.kind).toBe("data");
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
    expect(failure.kind).toBe("data");
    expect(failure.message).toEndWith("lacks what was asked for: a.example.com, 10.0.0.1");
    expect(treeOf(it.folder)).toEqual(before);
  });

  test("the certificate has already expired", async () => {
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
    expect(failure.kind).toBe("data");
    expect(failure.message).toMatch(/expired .* before it began to be used/);
    expect(treeOf(it.folder)).toEqual(before);
  });
});
