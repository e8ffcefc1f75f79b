import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { type Call, trace } from "../crash/strace.ts";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { type ClusterServer, startCluster } from "../support/cluster-server.ts";
import { scriptPath } from "../support/script.ts";

// A disk error while a file is inspected or read is reported as such, and not as a bug of this tool.

let cluster: ClusterServer;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const calls = /^(openat|(newf|f|l)?stat(at|x)?|readlink|p?read(64)?|getdents64)$/;
const wish = (host: ManifestHost) => ["--if-due", "demo/pki/k8s/sign/kubelet", "kubelet", host.destination];

/** A host on which nothing is due, and a command that finds that. */
async function quietHost(script: string, words: (host: ManifestHost) => readonly string[]) {
  const host = await startManifestHost(cluster);
  host.write("etcd");
  // An admin put it there for later. Every run looks at it.
  host.put("init-token", await cluster.initToken("worker"));
  const command = [await scriptPath(script), "--config-path", host.config, ...words(host)];
  const run = (fault?: Call) =>
    trace(command, {
      env: host.env,
      folder: host.path,
      ...(fault === undefined ? {} : { fault: { call: fault.name, nth: fault.nth, what: "error=EIO" } }),
    });
  await run();
  const looks = (await run()).calls.filter(({ name, path }) => path !== undefined && calls.test(name));
  return { ...host, run, looks };
}

describe("a disk that reports an error at any file access", () => {
  test.each<[string, (host: ManifestHost) => readonly string[]]>([
    ["renew-token", () => []],
    ["issue-cert", wish],
    ["issue-cert", (host) => ["--config-dir", host.certs]],
    ["write-kubeconfig", (host) => [...wish(host), `${host.path}/kubeconfig`]],
    ["status", (host) => ["--config-dir", host.certs, "--destination", host.destination]],
  ])(
    "is no fault of %s (%#)",
    async (script, words) => {
      await using host = await quietHost(script, words);
      expect(host.looks.length).toBeGreaterThan(5);
      for (const look of host.looks) {
        const { code, stderr } = await host.run(look);
        expect({ look: look.line, code, stderr }).not.toMatchObject({ code: ExitCode.software });
        // The path that people know, instead of the one that was opened.
        expect(stderr).not.toContain("/proc/");
      }
    },
    120_000,
  );
});

test("a disk error after the token's renewal is reported with its path, and does not end the run", async () => {
  await using host = await quietHost("renew-token", () => []);
  for (const name of ["init-token", "token"]) {
    const look = host.looks.findLast(({ path }) => path === `${host.config}/${name}`);
    if (look === undefined) throw new Error(`${name} was not looked at`);
    const { code, stderr } = await host.run(look);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `renew-token: can't look at ${host.config}/${name}: the disk reports an error (EIO)\n`,
    });
  }
});
