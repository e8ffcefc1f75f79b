import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lstatSync, rmSync, statSync, writeFileSync } from "node:fs";
import { startCluster } from "../support/cluster-server.ts";
import { opensslEcKey } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";
import { createCa } from "../support/set.ts";
import { treeOf } from "../support/tree.ts";
import { day, expectMatching, names, type Place, placeOn, type Wish } from "./place.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const place = (fault?: Fault) => placeOn(cluster, fault);

describe("renew() when due", () => {
  test("touches nothing and asks nobody while everything is as asked for", async () => {
    await using it = place();
    await it.issue({ ifDue: true });
    it.relay.reset();
    const before = treeOf(it.folder);
    const kept = await it.issue({ ifDue: true });
    expect(kept).toMatchObject({ outcome: "not due", reasons: [] });
    const lifetime = kept.certificate.notAfter.getTime() - kept.certificate.notBefore.getTime();
    expect(kept.certificate.notAfter.getTime() - kept.dueAt.getTime()).toBe(lifetime / 3);
    expect(it.relay.passed).toEqual([]);
    expect(treeOf(it.folder)).toEqual(before);
  });

  test("issues when a third of the lifetime is left by the server's clock, and says why", async () => {
    await using it = place();
    await it.issue();
    const ahead = (days: number): NonNullable<Wish["client"]> => ({
      ...it.client,
      clockAheadMs: () => days * day,
    });
    expect(await it.issue({ ifDue: true, client: ahead(19.9) })).toMatchObject({ outcome: "not due" });
    expect(await it.issue({ ifDue: true, client: ahead(20.1) })).toMatchObject({
      outcome: "issued",
      reasons: ["less than a third of its lifetime is left"],
      keyKept: true,
    });
  });

  const changes: ReadonlyArray<readonly [name: string, more: Wish, reason: string]> = [
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

  test("fixes a wrong mode or owner, and issues nothing", async () => {
    await using it = place();
    await it.issue();
    chmodSync(it.path("key"), 0o644);
    chownSync(it.path("ca"), 1234, 1234);
    it.relay.reset();
    const notes: string[] = [];
    const kept = await it.issue({
      ifDue: true,
      owner: { uid: 0, gid: 0 },
      onNote: (note) => notes.push(note),
    });
    expect(kept.outcome).toBe("not due");
    expect(notes).toEqual(
      [it.path("key"), it.path("ca")].map((path) => `owner and mode of ${path} were set again`),
    );
    expect((statSync(it.path("key")).mode & 0o777).toString(8)).toBe("600");
    expect(statSync(it.path("ca")).uid).toBe(0);
    expect(it.relay.passed).toEqual([]);
  });

  test("leaves plain files of the Go tool as they are", async () => {
    await using made = place();
    await made.issue();
    await using it = place();
    it.put({ key: made.read("key"), certificate: made.read("certificate"), ca: made.read("ca") });
    const before = treeOf(it.folder);
    expect(await it.issue({ ifDue: true })).toMatchObject({ outcome: "not due" });
    expect(treeOf(it.folder)).toEqual(before);
    expect(lstatSync(it.path("key")).isFile()).toBe(true);
  });

  test("issues in any case with force", async () => {
    await using it = place();
    await it.issue();
    const key = it.read("key");
    expect((await it.issue({ ifDue: true, force: true })).outcome).toBe("issued");
    expect(it.read("key")).not.toBe(key);
  });

  test("issues once for several runs at one moment, and for every call that does not ask for due ones", async () => {
    await using it = place();
    const runs = await Promise.all([1, 2, 3].map(() => it.issue({ ifDue: true })));
    expect(runs.map(({ outcome }) => outcome).toSorted()).toEqual(["issued", "not due", "not due"]);
    expect(it.relay.writes()).toHaveLength(1);
    const forced = await Promise.all([1, 2, 3].map(() => it.issue({ force: true })));
    expect(new Set(forced.map(({ certificate }) => certificate.x509.serialNumber)).size).toBe(3);
    await expectMatching(it);
  });

  function replace(path: string, content: string): void {
    rmSync(path);
    writeFileSync(path, content, { mode: 0o600 });
  }
});
