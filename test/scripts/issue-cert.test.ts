import { afterAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { certificatePaths } from "../../lib/host/certificate-place.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { trace } from "../crash/strace.ts";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { openssl } from "../support/openssl.ts";
import type { Fault } from "../support/relay.ts";
import { scriptPath } from "../support/script.ts";
import { modeOf, treeOf } from "../support/tree.ts";
import { commonName, expectMatching, issue, issueAsAdmin, kubelet, stamp, startWorkerOf } from "./worker.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const notTaken = 'issue-cert: the role decides the organisation, and did not take "x"\n';
const startWorker = (fault?: Fault) => startWorkerOf(cluster, fault);
const issueAs = (host: Host, path: string, ...more: string[]) => issueAsAdmin(cluster, host, path, ...more);

describe("issue-cert", () => {
  test("issues, issues again without --if-due, and not with it", async () => {
    await using host = await startWorker();
    const first = await issue(host);
    expect(first).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^${host.destination}\\.pem issued: valid until ${stamp}, due ${stamp}, EC P-256 key made\n$`,
        ),
      ),
      stderr: "",
    });
    await expectMatching(host);
    const certificate = host.read(`${host.destination}.pem`);
    const key = host.read(`${host.destination}-key.pem`);
    expect(readCertificates(certificate, "it")[0].organisations).toEqual(["system:nodes"]);

    const before = treeOf(host.path);
    const wish = await issue(host, "--if-due");
    expect([wish.code, wish.stderr]).toEqual([0, ""]);
    expect(wish.stdout).toMatch(
      new RegExp(`^${host.destination}\\.pem is not due: valid until ${stamp}, due ${stamp}\n$`),
    );
    expect(treeOf(host.path)).toEqual(before);

    const order = await issue(host);
    expect(order.stdout).toContain("EC P-256 key kept");
    expect(host.read(`${host.destination}.pem`)).not.toBe(certificate);
    expect(host.read(`${host.destination}-key.pem`)).toBe(key);
    const forced = await issue(host, "--force");
    expect(forced.stdout).toContain("EC P-256 key made");
    expect(host.read(`${host.destination}-key.pem`)).not.toBe(key);
    await expectMatching(host);
  });

  test.each([
    ["-t rsa", "RSA 2048", /RSA Public-Key|Public-Key: \(2048 bit\)/],
    ["-t rsa -b 4096", "RSA 4096", /Public-Key: \(4096 bit\)/],
    ["-b 3072", "RSA 3072", /Public-Key: \(3072 bit\)/],
    ["--key-type ec --key-bit-size 384", "EC P-384", /NIST CURVE: P-384/],
    ["--key-type=ec -b521", "EC P-521", /NIST CURVE: P-521/],
    ["-t ed25519", "Ed25519", /ED25519 Public-Key/],
  ])("with %s makes a key %s that the server signs", async (flags, name, words) => {
    await using host = await startWorker();
    const run = await issue(host, ...flags.split(" "));
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining(`, ${name} key made`) });
    expect(openssl(["x509", "-noout", "-text", "-in", `${host.destination}.pem`])).toMatch(words);
    await expectMatching(host);
  });

  test("takes names, addresses and organisations, comma-separated and repeated", async () => {
    await using host = await startWorker();
    const names = [
      "-s",
      "a.example.com, b.example.com",
      "-s",
      "*.c.example.com",
      "-i",
      "10.0.0.1,fd00::1",
      "-n",
      "x",
    ];
    const args = ["demo/pki/etcd-k8s/sign/server", "etcd-1", host.destination, ...names];
    const run = await host.run("issue-cert", args, { VAULT_TOKEN: cluster.rootToken });
    expect([run.code, run.stderr]).toEqual([0, notTaken]);
    const text = openssl(["x509", "-noout", "-ext", "subjectAltName", "-in", `${host.destination}.pem`]);
    for (const name of [
      "DNS:a.example.com",
      "DNS:b.example.com",
      "DNS:*.c.example.com",
      "IP Address:10.0.0.1",
      "IP Address:FD00:0:0:0:0:0:0:1",
    ]) {
      expect(text).toContain(name);
    }
  });

  test("does not issue every day for an organisation that the role does not grant", async () => {
    await using host = await startWorker();
    expect((await issue(host, "--if-due", "-n", "not-granted")).stdout).toContain("issued");
    expect((await issue(host, "--if-due", "-n", "not-granted")).stdout).toContain("is not due");
  });

  test("gives the files to their owner and group, by name and number", async () => {
    await using host = await startWorker();
    expect((await issue(host, "-o", "daemon", "-g", "4321")).code).toBe(0);
    for (const path of [...Object.values(certificatePaths(host.destination)), dirname(host.destination)]) {
      const { uid, gid } = statSync(path);
      expect([path, uid, gid]).toEqual([path, 1, 4321]);
    }
    expect(modeOf(dirname(host.destination))).toBe("750");
    expect((statSync(`${host.destination}-key.pem`).mode & 0o777).toString(8)).toBe("600");
  });

  test("prints the outcome as JSON with --json", async () => {
    await using host = await startWorker();
    const issued = JSON.parse((await issue(host, "--json")).stdout);
    const [leaf] = readCertificates(host.read(`${host.destination}.pem`), "it");
    expect(issued).toEqual({
      outcome: "issued",
      destination: host.destination,
      serialNumber: leaf.x509.serialNumber.toLowerCase(),
      notBefore: leaf.notBefore.toISOString(),
      notAfter: leaf.notAfter.toISOString(),
      dueAt: expect.any(String),
      reasons: [],
      keyType: "EC P-256",
      keyKept: false,
    });
    expect(JSON.parse((await issue(host, "--json", "--if-due")).stdout)).toMatchObject({
      outcome: "not due",
      reasons: [],
    });
  });

  test("exchanges the init token first, on a host that has no other token", async () => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    expect((await issue(host)).code).toBe(0);
    expect(host.relay.passed.map(({ path }) => path)).toEqual([
      "sys/wrapping/lookup",
      "auth/token/create/demo-worker",
      kubelet,
      "demo/pki/k8s/issuers",
    ]);
    await expectMatching(host);
  });

  test.each(["..", ".etcd.set/a"])("keeps the init token after an invalid destination: %s", async (path) => {
    await using host = startHost(cluster.address);
    host.put("init-token", await cluster.initToken("worker"));
    const before = treeOf(host.path);
    const { code } = await host.run("issue-cert", [kubelet, commonName, `${host.path}/ssl/${path}`]);
    expect([code, host.relay.passed]).toEqual([64, []]);
    expect(treeOf(host.path)).toEqual(before);
  });

  test("issues with --if-due when the present certificate has expired", async () => {
    const role = {
      allow_any_name: true,
      enforce_hostnames: false,
      key_type: "any",
      ttl: "2s",
      not_before_duration: "1s",
    };
    await cluster.write("demo/pki/etcd-k8s/roles/two-seconds", role);
    await using host = await startWorker();
    const path = "demo/pki/etcd-k8s/sign/two-seconds";
    expect((await issueAs(host, path, "--if-due")).code).toBe(0);
    const { notAfter } = readCertificates(host.read(`${host.destination}.pem`), "it")[0];
    await Bun.sleep(notAfter.getTime() - Date.now() + 100);
    const again = await issueAs(host, path, "--if-due");
    expect(again.stdout).toContain(`${host.destination}.pem issued (it has expired): `);
  });

  test("goes by the server's clock, known from the renewal of the token", async () => {
    let daysAhead = 0;
    await using host = await startWorker(async (_seen, _number, pass) => {
      const answer = await pass();
      const date = new Date(Date.now() + daysAhead * 86_400_000).toUTCString();
      return new Response(await answer.arrayBuffer(), { status: answer.status, headers: { Date: date } });
    });
    expect((await issue(host)).code).toBe(0);
    daysAhead = 19;
    const fresh = await issue(host, "--if-due");
    expect(fresh.stdout).toContain("is not due");
    expect(fresh.stderr).toMatch(/this host's clock is (19d|18d 23h) behind the server's/);
    daysAhead = 21;
    expect((await issue(host, "--if-due")).stdout).toContain(
      "issued (less than a third of its lifetime is left)",
    );
  });

  test("runs twice at once for one destination: both succeed, and the files belong together", async () => {
    await using host = await startWorker(async ({ path }) => {
      if (path === kubelet) await Bun.sleep(200);
      return undefined;
    });
    for (const flags of [[], ["--force"], ["--if-due", "-s", "kubelet"]]) {
      const runs = await Promise.all([issue(host, ...flags), issue(host, ...flags)]);
      expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual([
        [0, ""],
        [0, ""],
      ]);
      await expectMatching(host);
    }
  });
});

describe("issue-cert, seen by the system,", () => {
  async function traced(host: Host, ...flags: string[]) {
    const command = [
      await scriptPath("issue-cert"),
      "-p",
      host.config,
      ...flags,
      kubelet,
      commonName,
      host.destination,
    ];
    host.relay.reset();
    const run = await trace(command, { env: host.env, folder: host.path });
    return {
      code: run.code,
      connects: run.calls.filter(({ name }) => name === "connect").length,
      requests: host.relay.passed.map(({ path }) => path),
      calls: run.calls,
    };
  }

  test("opens one connection and sends three requests to issue, and one if it is not due", async () => {
    await using host = await startWorker();
    const issued = await traced(host);
    const requests = ["auth/token/renew-self", kubelet, "demo/pki/k8s/issuers"];
    expect(issued).toMatchObject({ code: 0, connects: 1, requests });
    const fresh = await traced(host, "--if-due");
    expect(fresh).toMatchObject({ code: 0, connects: 1, requests: ["auth/token/renew-self"] });
    const writes = fresh.calls.filter(
      ({ name, line }) =>
        /^(rename|unlink|mkdir|symlink|chmod|fchmod|chown|fchown|link)/.test(name) ||
        /O_CREAT|O_WRONLY|O_RDWR/.test(line),
    );
    expect(writes.map(({ line }) => line)).toEqual([]);
  });

  test("never has a key with a wider mode than 0600, nor content before the mode is set", async () => {
    await using host = await startWorker();
    const { calls } = await traced(host, "-t", "rsa");
    const onKeys = calls.filter(({ path }) => path?.endsWith("/key.pem"));
    expect(
      onKeys.map(({ name }) => name).filter((name) => /^(openat|fchmod|write|fsync)$/.test(name)),
    ).toEqual(["openat", "fchmod", "write", "fsync"]);
    expect(onKeys.find(({ name }) => name === "openat")?.line).toMatch(/O_CREAT\|O_EXCL.*, 0600\)/);
    expect(onKeys.find(({ name }) => name === "fchmod")?.line).toMatch(/, 0600\)/);
  });
});
