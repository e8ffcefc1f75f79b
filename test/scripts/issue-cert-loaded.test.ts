import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { startCluster } from "../support/cluster-server.ts";
import { type Host, startHost } from "../support/host.ts";
import { snippet } from "../support/snippet.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const slow = ["pkijs", "asn1js", "@noble/curves", "yaml", "bun:sqlite"];

/** Runs a script like its executable does. @returns the packages that were loaded by its end */
async function loadedBy(host: Host, file: string, name: string, args: readonly string[]): Promise<string[]> {
  const code = `
    const { ${name} } = await import(${JSON.stringify(join(import.meta.dir, "../../scripts", file))});
    process.on("exit", () => console.log(JSON.stringify(Object.keys(require.cache))));
    await runScript(${name}, ${JSON.stringify(["-p", host.config, ...args])});`;
  const child = Bun.spawn(snippet("{ runScript }", "cli/script.ts", code), {
    env: { PATH: process.env.PATH ?? "", ...host.env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect([exit, errors]).toEqual([0, ""]);
  const paths: string[] = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  expect(paths.some((path) => path.endsWith("/lib/vault/client.ts"))).toBe(true);
  return slow.filter((it) => paths.some((path) => path === it || path.includes(`/node_modules/${it}/`)));
}

test("a token renewal and a certificate that is not due load nothing slow; issuing does", async () => {
  await using host = startHost(cluster.address);
  host.put("token", await cluster.hostToken("worker"));
  const args = ["demo/pki/k8s/sign/kubelet", "system:node:a", host.destination];
  expect(await loadedBy(host, "renew-token.ts", "renewToken", [])).toEqual([]);
  // This shows that loaded packages are found.
  expect(await loadedBy(host, "issue-cert.ts", "issueCert", args)).toEqual(["asn1js"]);
  const words = [...args, `${host.path}/kube/config`];
  expect(await loadedBy(host, "write-kubeconfig.ts", "writeKubeconfig", words)).toContain("yaml");
  for (const type of ["rsa", "ec", "ed25519"]) {
    const wish = ["--if-due", "-t", type, ...args];
    await loadedBy(host, "issue-cert.ts", "issueCert", wish);
    expect(await loadedBy(host, "issue-cert.ts", "issueCert", wish)).toEqual([]);
  }
});
