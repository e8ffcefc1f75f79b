import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { trace } from "../crash/strace.ts";
import { type ManifestHost, startManifestHost } from "../manifest/certs.ts";
import { startCluster } from "../support/cluster-server.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { scriptPath } from "../support/script.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

/** How often a run opens one of `a`'s three files. */
async function opened(host: ManifestHost): Promise<number> {
  const command = [await scriptPath("issue-cert"), "-p", host.config, "--config-dir", host.certs];
  const run = await trace(command, { env: host.env, folder: join(host.path, "ssl") });
  expect([run.code, run.stdout, run.stderr]).toEqual([0, "", ""]);
  return run.calls.filter(({ name, path }) => name === "openat" && path?.endsWith(".pem")).length;
}

async function issued(): Promise<ManifestHost> {
  const host = await startManifestHost(cluster);
  host.write("a");
  expect((await host.issue()).stdout).toContain("a.pem issued (there is none yet)");
  await Bun.sleep(25);
  return host;
}

/** A file through the link that services read. */
const fileOf = (host: ManifestHost, suffix: string) => realpathSync(host.destinationOf("a") + suffix);

describe("issue-cert --config-dir with a certificate that is not due", () => {
  test("opens none of its files", async () => {
    await using host = await issued();
    expect(await opened(host)).toBe(0);
  });

  const harmless: ReadonlyArray<readonly [name: string, change: (host: ManifestHost) => void]> = [
    ["with another group", (host) => chownSync(fileOf(host, ".pem"), 0, 4321)],
    [
      "written again with the same content",
      (host) => writeFileSync(fileOf(host, ".pem"), readFileSync(fileOf(host, ".pem"))),
    ],
    [
      "restored completely from a copy",
      (host) => {
        const ssl = join(host.path, "ssl");
        expect(Bun.spawnSync(["cp", "-a", ssl, `${ssl}.copy`]).exitCode).toBe(0);
        rmSync(ssl, { recursive: true });
        renameSync(`${ssl}.copy`, ssl);
      },
    ],
  ];
  test.each(harmless)("reads it if it is not as it was written, and leaves it: %s", async (_, change) => {
    await using host = await issued();
    change(host);
    expect(await opened(host)).toBe(3);
  });

  const broken: ReadonlyArray<readonly [name: string, change: (host: ManifestHost) => void, says: string]> = [
    [
      "a CA of the same length",
      (host) => spoil(fileOf(host, "-ca.pem")),
      "a.pem issued (the CA file holds a certificate that can't be read)",
    ],
    [
      "a key of the same length",
      (host) => writeFileSync(fileOf(host, "-key.pem"), opensslEcKey("P-256")),
      "a.pem issued (the key belongs to another certificate)",
    ],
  ];
  test.each(broken)("finds it broken by %s", async (_, change, says) => {
    await using host = await issued();
    change(host);
    expect((await host.issue()).stdout).toContain(says);
    await Bun.sleep(25);
    expect(await opened(host)).toBe(0);
  });

  test("narrows a mode that is too wide", async () => {
    await using host = await issued();
    chmodSync(fileOf(host, "-key.pem"), 0o644);
    expect((await host.issue()).stderr).toMatch(/owner and mode of .*a-key\.pem were set again/);
  });
});

/** Reverses the letters in the middle of a PEM file. */
function spoil(path: string): void {
  const text = readFileSync(path, "utf8");
  const [start, end] = [text.length / 2 - 100, text.length / 2 + 100].map(Math.floor);
  writeFileSync(
    path,
    text.slice(0, start) + [...text.slice(start, end)].reverse().join("") + text.slice(end),
  );
}
