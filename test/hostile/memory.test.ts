import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { scriptPath } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";
import { createCa } from "../support/set.ts";
import { signPath } from "./stage.ts";

// Units may use 256 MiB. A run that needs more is killed and renews nothing.

const mebibyte = 1024 * 1024;
const auth = { client_token: "t", accessor: "a", lease_duration: 60, renewable: true, policies: [] };

let renewToken: string;
let issueCert: string;
beforeAll(async () => {
  [renewToken, issueCert] = [await scriptPath("renew-token"), await scriptPath("issue-cert")];
});

/** Runs a command with this answer to its last request. Returns its output, its memory in MiB and its CPU time. */
async function costOf(command: "renew-token" | "issue-cert", body: string, status = 200) {
  await using server = startScripted(({ path }) =>
    command === "issue-cert" && path.endsWith("renew-self")
      ? Response.json({ auth })
      : new Response(body, { status }),
  );
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "token"), "t", { mode: 0o600 });
  const args = command === "issue-cert" ? [signPath, "it", join(folder.path, "it")] : [];
  const path = command === "issue-cert" ? issueCert : renewToken;
  const child = Bun.spawn([path, "-p", folder.path, ...args], {
    env: { VAULT_ADDR: server.address },
    stdout: "ignore",
    stderr: "pipe",
  });
  let mebibytes = 0;
  // The system's count for an ended child includes the memory of this process at the fork.
  const watch = setInterval(() => {
    mebibytes = Math.max(mebibytes, peakOf(child.pid));
  }, 2);
  const stderr = await child.stderr.text();
  const code = await child.exited;
  clearInterval(watch);
  // CPU time instead of elapsed time, since this machine may be busy.
  const cpuSeconds = Number(child.resourceUsage()?.cpuTime.total ?? Number.NaN) / 1_000_000;
  return { code, stderr, cpuSeconds, mebibytes };
}

/** Memory in MiB; zero for a process that has ended. */
function peakOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    // Before exec, it is still a copy of this process.
    if (!/^Name:\s+(renew-token|issue-cert)$/m.test(status)) return 0;
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

describe("an answer of some megabytes costs a run little memory and time:", () => {
  const rows: ReadonlyArray<readonly [what: string, body: string, says: string]> = [
    ["lists in lists without an end", "[".repeat(4 * mebibyte), "is nested too deep"],
    ["lists in lists", "[".repeat(2 * mebibyte) + "]".repeat(2 * mebibyte), "is nested too deep"],
    ["objects in objects", '{"a":'.repeat(mebibyte), "is nested too deep"],
    ["empty objects", `[${"{},".repeat(2.5 * mebibyte)}{}]`, "is made of too many values"],
    ["empty lists", `{"auth":[${"[],".repeat(2.5 * mebibyte)}[]]}`, "is made of too many values"],
    ["numbers", `[${"0,".repeat(3.9 * mebibyte)}0]`, "is made of too many values"],
    ["one text", JSON.stringify({ auth: "x".repeat(8 * mebibyte - 100) }), "is not a JSON object"],
    ["a string that is not closed", `{"auth":"${"[".repeat(8 * mebibyte - 100)}`, "a body that is not JSON"],
  ];
  test.each(rows)("%s", async (_, body, says) => {
    const { code, stderr, cpuSeconds, mebibytes } = await costOf("renew-token", body);
    expect([code, stderr]).toEqual([69, expect.stringContaining(says)]);
    expect(mebibytes).toBeWithin(20, 160);
    expect(cpuSeconds).toBeWithin(0.001, 10);
  });

  test("errors, of which only a readable part is shown", async () => {
    const body = JSON.stringify({ errors: Array(1000).fill("no ".repeat(2000)) });
    const { code, stderr, mebibytes } = await costOf("renew-token", body, 400);
    expect([code, stderr.length < 20_000]).toEqual([65, true]);
    expect(mebibytes).toBeWithin(20, 160);
  });

  test.each([
    ["a list of thousands", (pem: string) => Array(20_000).fill(pem.slice(0, 300))],
    ["one string of thousands", (pem: string) => [pem.repeat(10_000)]],
    ["one string, as before Vault 1.11", (pem: string) => pem.repeat(10_000)],
    ["only beginnings", () => ["-----BEGIN CERTIFICATE-----".repeat(200_000)]],
  ])("certificates above the CA: %s", async (_, chain) => {
    const { pem } = createCa();
    const data = { certificate: pem, issuing_ca: pem, ca_chain: chain(pem) };
    const body = JSON.stringify({ data });
    const { code, stderr, cpuSeconds, mebibytes } = await costOf("issue-cert", body.slice(0, 8 * mebibyte));
    expect([code, stderr]).toEqual([69, expect.stringContaining("holds more certificates than a chain has")]);
    expect(mebibytes).toBeWithin(20, 160);
    expect(cpuSeconds).toBeWithin(0.001, 10);
  });
});
