import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { type Due, listDue } from "../../lib/renewal/renew-all.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { closedWindow, manifestHost, outcomesOf, readFiles } from "../manifest/host.ts";
import { startCluster } from "../support/cluster-server.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { treeOf } from "../support/tree.ts";
import { until } from "../support/wait.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const sign = (role: string) => `demo/pki/k8s/sign/${role}`;
const month = sign("thirty-days");

/** A role whose new certificates began so many days ago, and expire in so many days. */
async function makeRole(name: string, behindDays: number, leftDays: number): Promise<void> {
  await cluster.write(`demo/pki/k8s/roles/${name}`, {
    allow_any_name: true,
    enforce_hostnames: false,
    key_type: "any",
    max_ttl: `${leftDays * 24}h`,
    ttl: `${leftDays * 24}h`,
    not_before_duration: `${behindDays * 24}h`,
  });
}

beforeAll(async () => {
  await makeRole("nine-days-less-than-half", 5, 4);
  await makeRole("nine-days-more-than-half", 4, 5);
  await makeRole("thirty-days-two-fifths", 18, 12);
  await makeRole("thirty-days-three-tenths", 21, 9);
  await makeRole("thirty-days-fifth", 24, 6);
  await makeRole("thirty-days-last", 28, 2);
  await makeRole("thirty-days", 0, 30);
  await makeRole("other", 0, 30);
  await makeRole("two-days", 0, 2);
});

const reasonsOf = (due: readonly Due[]) =>
  due.map((one) => ("failure" in one ? one.failure.kind : one.reasons));

describe("a certificate is due", () => {
  test.each([
    ["nine-days-less-than-half", ["less than half of its lifetime is left"]],
    ["nine-days-more-than-half", undefined],
    ["thirty-days-two-fifths", undefined],
    ["thirty-days-three-tenths", ["less than a third of its lifetime is left"]],
  ])("by the part of its lifetime that is left: %s", async (role, reasons) => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign(role));
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    expect(reasonsOf(await listDue([manifest]))).toEqual(reasons === undefined ? [] : [reasons]);
    const [again] = await host.run(manifest);
    expect(again !== undefined && "issued" in again && [again.issued.outcome, again.issued.reasons]).toEqual(
      reasons === undefined ? ["not due", []] : ["issued", reasons],
    );
  });

  test.each([
    ["nine-days-more-than-half", 1 / 2],
    ["thirty-days-two-fifths", 1 / 3],
  ])("at the predicted time: %s", async (role, part) => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign(role));
    const [outcome] = await host.run(manifest);
    const [{ notBefore, notAfter }] = readCertificates(readFiles(manifest).certificate ?? "", "it");
    const due = notAfter.getTime() - (notAfter.getTime() - notBefore.getTime()) * part;
    expect(outcome !== undefined && "issued" in outcome && outcome.issued.dueAt).toEqual(new Date(due));
  });

  test("at each run, if its manifest says so", async () => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", month, 'renew = "always"');
    for (let time = 0; time < 3; time++) expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    expect(reasonsOf(await listDue([manifest]))).toEqual([["it is renewed at each run"]]);
    expect(host.relay.passed.filter(({ path }) => path === month).length).toBe(3);
  });

  test("and may expire between two daily runs, as each run says", async () => {
    await using host = manifestHost(cluster);
    const [short, long] = [
      host.manifest("short", sign("two-days")),
      host.manifest("long", sign("nine-days-more-than-half")),
    ];
    await host.run(short, long);
    await host.run(short, long);
    const sentence =
      "short: a certificate with a lifetime of 2d may expire between two daily runs: have the timer fire more often";
    expect(host.notes).toEqual([sentence, sentence]);
  });
});

describe("outside its window", () => {
  const { window, opens } = closedWindow();
  const closed = `window = "${window}"`;

  test("a due certificate waits: nothing is asked or touched, and the time is shown", async () => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign("thirty-days-fifth"), closed);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
    const before = treeOf(host.folder);
    host.relay.reset();
    const [outcome] = await host.run(manifest);
    expect(outcome !== undefined && "issued" in outcome && outcome.issued).toMatchObject({
      outcome: "waiting",
      reasons: ["less than a third of its lifetime is left"],
    });
    const waitsUntil = outcome !== undefined && "issued" in outcome ? outcome.issued.waitsUntil : undefined;
    expect(waitsUntil?.toISOString().replace("T", " ")).toStartWith(opens.replace(" UTC", ""));
    expect([treeOf(host.folder), host.relay.passed]).toEqual([before, []]);
    expect(await listDue([manifest])).toEqual([]);
  });

  test("a certificate with less than a tenth of its lifetime left is replaced", async () => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", sign("thirty-days-last"), closed);
    await host.run(manifest);
    expect(reasonsOf(await listDue([manifest]))).toEqual([["less than a third of its lifetime is left"]]);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
  });

  test.each([
    ["its CA is missing", (it: string) => rmSync(`${it}-ca.pem`), "ca missing"],
    [
      "its key is another's",
      (it: string) => writeFileSync(`${it}-key.pem`, opensslEcKey("P-256")),
      "the key belongs to another certificate",
    ],
  ])("a useless certificate is replaced: %s", async (_, spoil, reason) => {
    await using host = manifestHost(cluster);
    const manifest = host.manifest("it", month, closed);
    await host.run(manifest);
    spoil(manifest.destination);
    expect(reasonsOf(await listDue([manifest]))).toEqual([[reason]]);
    expect(outcomesOf(await host.run(manifest))).toEqual(["issued"]);
  });

  test.each([
    ["another key is asked for", month, 'key_type = "ed25519"'],
    ["it is to be renewed always", month, 'renew = "always"'],
    ["another role is to sign it", sign("other"), ""],
  ])("a certificate also waits when %s", async (_, path, fields) => {
    await using host = manifestHost(cluster);
    await host.run(host.manifest("it", month));
    const waiting = host.manifest("it", path, `${fields}\n${closed}`);
    expect(outcomesOf(await host.run(waiting))).toEqual(["waiting"]);
    expect(await listDue([waiting])).toEqual([]);
    const open = host.manifest("it", path, `${fields}\nwindow = ["${window}", "00:00-24:00"]`);
    expect(outcomesOf(await host.run(open))).toEqual(["issued"]);
  });
});

describe("renewAll()", () => {
  test("sends one request for each due certificate, and none for the others", async () => {
    await using host = manifestHost(cluster);
    const manifests = ["a", "b", "c"].map((name) => host.manifest(name, month));
    expect(outcomesOf(await host.run(...manifests))).toEqual(["issued", "issued", "issued"]);
    // This client was not told the server's time by a renewal of its token.
    const first = ["sys/seal-status", month, month, month, "demo/pki/k8s/issuers"];
    expect(host.relay.passed.map(({ path }) => path)).toEqual(first);
    host.relay.reset();
    const before = treeOf(host.folder);
    expect(outcomesOf(await host.run(...manifests))).toEqual(["not due", "not due", "not due"]);
    expect([host.relay.passed, treeOf(host.folder)]).toEqual([[], before]);
  });

  test("says once that the clocks differ, however many certificates there are", async () => {
    await using host = manifestHost(cluster, async (_request, _body, pass) => {
      const answer = await pass();
      const headers = new Headers(answer.headers);
      headers.set("date", new Date(Date.now() + 600_000).toUTCString());
      return new Response(answer.body, { status: answer.status, headers });
    });
    const manifests = ["a", "b", "c"].map((name) => host.manifest(name, "demo/pki/etcd-k8s/sign/server"));
    expect(outcomesOf(await host.run(...manifests))).toEqual(["issued", "issued", "issued"]);
    expect(host.notes.filter((note) => note.includes("clock"))).toEqual([
      expect.stringMatching(/^this host's clock is \d+\w+.* behind the server's$/),
    ]);
  });

  test("asks for all of them at the same time", async () => {
    let [now, most] = [0, 0];
    await using host = manifestHost(cluster, async (_, __, pass) => {
      most = Math.max(most, ++now);
      await Bun.sleep(200);
      now--;
      return await pass();
    });
    const manifests = ["a", "b", "c", "d", "e"].map((name) => host.manifest(name, month));
    await host.run(...manifests);
    expect(most).toBe(5);
  });

  test("makes a key while a request for another is under way", async () => {
    const isAsked = () => host.relay.passed.some(({ path }) => path === month);
    await using host = manifestHost(cluster, async ({ path }) => {
      if (path === sign("other")) await until(isAsked);
      return undefined;
    });
    const slow = host.manifest("slow", month, 'key_type = "rsa"\nkey_bit_size = 4096');
    const quick = host.manifest("quick", sign("other"));
    expect(outcomesOf(await host.run(quick, slow))).toEqual(["issued", "issued"]);
    // The quick one's answer has waited for the slow one's request: had they taken turns, it would never have come.
    const paths = host.relay.passed.map(({ path }) => path);
    const once = ["sys/seal-status", "demo/pki/k8s/issuers"];
    expect(paths.toSorted()).toEqual([...once, sign("other"), month].toSorted());
  });

  test("finishes the others if one fails", async () => {
    await using host = manifestHost(cluster, ({ path }) =>
      path.endsWith("other") ? Response.json({ errors: ["permission denied"] }, { status: 403 }) : undefined,
    );
    const manifests = [
      host.manifest("a", month),
      host.manifest("denied", sign("other")),
      host.manifest("unknown", sign("nothing")),
      host.manifest("b", month),
    ];
    const outcomes = await host.run(...manifests);
    expect(outcomesOf(outcomes)).toEqual(["issued", "permission", "config", "issued"]);
    expect(outcomes[2]).toHaveProperty("failure");
    expect(
      Object.keys(treeOf(`${host.folder}/ssl`))
        .filter((name) => name.endsWith(".pem") && !name.includes("/"))
        .sort(),
    ).toEqual(["a-ca.pem", "a-key.pem", "a.pem", "b-ca.pem", "b-key.pem", "b.pem"]);
  });

  test("finishes the others if a bug of ours stops one", async () => {
    await using host = manifestHost(cluster);
    host.notes.push = () => {
      throw new TypeError("a bug");
    };
    const outcomes = await host.run(host.manifest("a", sign("two-days")), host.manifest("b", month));
    expect(outcomesOf(outcomes)).toEqual(["internal", "issued"]);
    expect(outcomes.map((one) => ("failure" in one ? one.failure.message : ""))).toEqual([
      "a fault in this tool: a bug",
      "",
    ]);
  });
});

test("listDue() reports a manifest that it can't judge, and judges the others", async () => {
  await using host = manifestHost(cluster);
  const [broken, fine] = [host.manifest("broken", month), host.manifest("fine", month)];
  await host.run(broken);
  rmSync(`${broken.destination}.pem`);
  await Bun.$`ln -s /etc/hostname ${broken.destination}.pem`;
  expect(reasonsOf(await listDue([broken, fine]))).toEqual(["file", ["there is none yet"]]);
});
