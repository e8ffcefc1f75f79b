import { afterAll, describe, expect, test } from "bun:test";
import { chownSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { runCommand, scriptPath } from "../support/script.ts";

// Many containers have a hard limit of open files. The work done at one time has to fit in it.

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

describe.each([
  [1000, 1024, false],
  [300, 256, false],
  [300, 256, true],
  [40, 100, true],
])(
  "%d manifests on a host that may have %d files open, each in another user's folder: %p",
  (count, limit, isOthers) => {
    test("are all issued by one run, which also runs every hook", async () => {
      await using host = await startManifestHost(cluster);
      const names = Array.from({ length: count }, (_, i) => `c${i}`);
      for (const name of names) {
        const destination = isOthers ? `${host.path}/others/${name}/it` : host.destinationOf(name);
        mkdirSync(dirname(destination), { recursive: true, mode: 0o755 });
        // A folder in which another user can replace files has to be held open.
        if (isOthers) chownSync(dirname(destination), 65534, 65534);
        host.write(
          name,
          `destination = "${destination}"\nkey_type = "ed25519"\n${host.onChange('echo ran >> "$1"')}`,
        );
      }
      const run = async (...args: string[]) => {
        const issue = ["-p", host.config, "--config-dir", host.certs, "--json", "--timeout", "10m", ...args];
        const limited = ["prlimit", `--nofile=${limit}:${limit}`, await scriptPath("issue-cert"), ...issue];
        const { code, stdout, stderr } = await runCommand(limited, { env: host.env });
        const { certificates = [], hooks = [] } = JSON.parse(stdout);
        const outcomes = certificates.map(({ outcome }: { outcome: string }) => outcome);
        return {
          code,
          stderr,
          outcomes: [...new Set(outcomes)],
          issued: outcomes.length,
          hooks: hooks.length,
        };
      };
      const whole = { code: 0, stderr: "", issued: count };
      expect(await run("--hooks", "later")).toEqual({ ...whole, outcomes: ["issued"], hooks: 0 });
      expect(await run()).toEqual({ ...whole, outcomes: ["not due"], hooks: count });
      expect(host.logged().length).toBe(count);
      expect(await run()).toEqual({ ...whole, outcomes: ["not due"], hooks: 0 });
    }, 300_000);
  },
);
