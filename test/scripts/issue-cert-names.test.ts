import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { startHost } from "../support/host.ts";
import { openssl } from "../support/openssl.ts";

// Names that a server would sign unchanged, but that no client would accept.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
const member = "demo/pki/etcd-k8s/sign/server";
const node = "demo/pki/k8s/sign/kubelet";

async function hostOf(role: "etcd" | "worker") {
  const host = startHost(cluster.address);
  host.put("token", `${await cluster.hostToken(role)}\n`);
  return host;
}

function namesIn(destination: string): string {
  const shown = ["-noout", "-subject", "-ext", "subjectAltName", "-nameopt", "RFC2253"];
  return openssl(["x509", "-in", `${destination}.pem`, ...shown]);
}

describe("issue-cert corrects", () => {
  test("a host name with a final dot, once for a host that already had it", async () => {
    await using host = await hostOf("etcd");
    const run = async () =>
      await host.run("issue-cert", ["--if-due", "-s", "b.example.com.", member, "a.", host.destination]);
    expect((await run()).stdout).toContain("issued");
    expect(namesIn(host.destination)).toMatch(/DNS:a, DNS:b\.example\.com\n/);
    expect((await run()).stdout).toContain("is not due");
    const record = join(realpathSync(`${host.destination}.pem`), "../request.json");
    writeFileSync(record, readFileSync(record, "utf8").replace('"b.example.com"', '"b.example.com."'));
    expect((await run()).stdout).toContain("the names are not those asked for");
    expect((await run()).stdout).toContain("is not due");
  });

  test("an address as common name, which also becomes an IP SAN", async () => {
    await using host = await hostOf("etcd");
    expect(await host.run("issue-cert", [member, "10.0.0.5", host.destination])).toMatchObject({ code: 0 });
    expect(namesIn(host.destination)).toContain("IP Address:10.0.0.5");
  });

  test("the capitals of a node's name", async () => {
    await using host = await hostOf("worker");
    const run = await host.run("issue-cert", [node, "system:node:IP-10-0-0-7", host.destination]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(namesIn(host.destination)).toContain("CN=system:node:ip-10-0-0-7");
  });
});

test("issue-cert accepts a node's name of 63 characters, and notes that it is long", async () => {
  await using host = await hostOf("worker");
  const name = `system:node:${"n".repeat(51)}.example.com.`;
  const args = ["--if-due", node, name, host.destination];
  const first = await host.run("issue-cert", args);
  expect(first.stderr).toContain("has 75 characters: RFC 5280 allows 64");
  expect(first.code).toBe(0);
  expect(namesIn(host.destination)).toContain(`CN=${name.slice(0, -1)},`);
  expect(await host.run("issue-cert", args)).toMatchObject({ code: 0, stderr: "" });
});

test("issue-cert refuses an e-mail address as a host name, and sends nothing", async () => {
  await using host = await hostOf("etcd");
  const run = await host.run("issue-cert", ["-s", "ops@example.com", member, "a", host.destination]);
  expect(run.stderr).toContain('"ops@example.com" can\'t be the host name of a certificate');
  expect(run.code).toBe(64);
  const asUser = await host.run("issue-cert", [member, "ops@example.com", host.destination]);
  expect(asUser).toMatchObject({ code: 0 });
});
