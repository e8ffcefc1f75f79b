import { describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openssl } from "../support/openssl.ts";
import { runScript } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";
import {
  createHost,
  dnsName,
  expectNoSecret,
  type Host,
  hostToken,
  ipAddress,
  issue,
  type Outcome,
} from "./host.ts";
import { createScriptedVault, type ScriptedVault } from "./scripted-vault.ts";

// A host with a wrong clock, like before its time service has run. Here the server's clock is moved instead.

const dayMs = 86_400_000;

/** Runs `issue-cert --if-due` this many times in a row on a host without a certificate. */
async function runs(vault: ScriptedVault, count: number, env: Readonly<Record<string, string>> = {}) {
  await using server = startScripted(vault.good);
  using host = createHost(issue);
  const outcomes: Outcome[] = [];
  for (let run = 0; run < count; run++) {
    outcomes.push(await host.run(server.address, { args: ["--if-due"], env }));
  }
  for (const outcome of outcomes) expectNoSecret(outcome);
  return { outcomes, signs: server.seen.filter(({ path }) => path.includes("/sign/")).length };
}

describe.concurrent("issue-cert --if-due on a host whose clock is", () => {
  test.each([
    ["a year behind", 365 * dayMs, "behind the server's"],
    ["a year ahead", -365 * dayMs, "ahead of the server's"],
    ["25 days behind", 25 * dayMs, "behind the server's"],
    ["25 days ahead", -25 * dayMs, "ahead of the server's"],
    ["two minutes behind", 120_000, "behind the server's"],
    ["two minutes ahead", -120_000, "ahead of the server's"],
  ])(
    "%s issues once, calls it fresh afterwards, and names the clock each time",
    async (_, aheadMs, words) => {
      using vault = await createScriptedVault(aheadMs);
      const { outcomes, signs } = await runs(vault, 3);
      expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
      expect(outcomes.map(({ stdout }) => stdout)).toEqual([
        expect.stringContaining("kubelet.pem issued (there is none yet): valid until"),
        expect.stringContaining("kubelet.pem is not due: valid until"),
        expect.stringContaining("kubelet.pem is not due: valid until"),
      ]);
      expect(outcomes.map(({ isUntouched }) => isUntouched)).toEqual([false, true, true]);
      for (const { stderr } of outcomes) {
        expect(stderr).toStartWith("issue-cert: this host's clock is ");
        expect(stderr).toEndWith(`${words}\n`);
      }
      expect(signs).toBe(1);
    },
  );

  test.each([
    ["a year behind", 365 * dayMs],
    ["a year ahead", -365 * dayMs],
  ])("%s asks for the time first if an admin's token needs no renewal", async (_, aheadMs) => {
    using vault = await createScriptedVault(aheadMs);
    const { outcomes, signs } = await runs(vault, 2, { VAULT_TOKEN: hostToken });
    expect(outcomes.map(({ code, isUntouched }) => ({ code, isUntouched }))).toEqual([
      { code: 0, isUntouched: false },
      { code: 0, isUntouched: true },
    ]);
    for (const { stderr } of outcomes) expect(stderr).toStartWith("issue-cert: this host's clock is ");
    expect(signs).toBe(1);
  });

  test.each([
    ["half a minute behind", 30_000],
    ["half a minute ahead", -30_000],
  ])("%s says nothing about it", async (_, aheadMs) => {
    using vault = await createScriptedVault(aheadMs);
    const { outcomes, signs } = await runs(vault, 2);
    expect(outcomes.map(({ code, stderr }) => ({ code, stderr }))).toEqual([
      { code: 0, stderr: "" },
      { code: 0, stderr: "" },
    ]);
    expect(signs).toBe(1);
  });
});

test.each(["", "soon", "9999999999"])("the date %j is ignored, and the host's time is used", async (date) => {
  using vault = await createScriptedVault();
  await using server = startScripted(async (seen, number) => {
    const answer = await vault.good(seen, number);
    answer.headers.set("Date", date);
    return answer;
  });
  using host = createHost(issue);
  expect(await host.run(server.address, { args: ["--if-due"] })).toMatchObject({ code: 0, stderr: "" });
});

test("a certificate that is due only by the server's clock is issued again", async () => {
  using vault = await createScriptedVault();
  using host = createHost(issue, vault.issuedHost);
  await using server = startScripted(async (seen, number) => {
    const answer = await vault.good(seen, number);
    answer.headers.set("Date", new Date(Date.now() + 25 * dayMs).toUTCString());
    return answer;
  });
  const { code, stdout, stderr } = await host.run(server.address, { args: ["--if-due"] });
  expect(code).toBe(0);
  expect(stdout).toContain("issued (less than a third of its lifetime is left)");
  expect(stderr).toContain("behind the server's");
});

/** Gives every answer this Date, while the clocks of server and host are right. */
async function withDate(date: string | ((number: number) => string | undefined)) {
  const vault = await createScriptedVault();
  const server = startScripted(async (seen, number) => {
    const answer = await vault.good(seen, number);
    const said = typeof date === "string" ? date : date(number);
    // The runtime adds a Date if there is none.
    answer.headers.set("Date", said ?? "");
    return answer;
  });
  return { vault, server };
}
const off = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString();

describe("a proxy whose Date is", () => {
  test.each([
    ["five minutes slow", -300],
    ["twenty days slow", -20 * 86_400],
    ["a year slow", -365 * 86_400],
    ["five minutes fast", 300],
    ["twenty days fast", 20 * 86_400],
    ["a year fast", 365 * 86_400],
    ["seven thousand years fast", 7000 * 365 * 86_400],
  ])("%s does not keep an expired certificate from being issued again, once", async (_, seconds) => {
    const { vault, server } = await withDate(off(seconds));
    using _vault = vault;
    await using _server = server;
    using host = createHost(issue, vault.issuedHost);
    const expired = vault.authority.sign(csrOfStanding(host.destination), {
      from: new Date(Date.now() - 31 * dayMs),
      until: new Date(Date.now() - dayMs),
    });
    writeFileSync(`${host.destination}.pem`, expired);
    rmSync(join(host.path, "ssl/.kubelet.set/current/request.json"), { force: true });
    const args = ["--if-due"];
    const status = await runStatus(host, server.address);
    expect(status.stdout).toMatch(
      /^(wrong|due) +certificate kubelet .* it (has expired|is valid by no clock)/m,
    );
    const [first, second] = [
      await host.run(server.address, { args }),
      await host.run(server.address, { args }),
    ];
    expect(first.stderr).toContain("this host's clock is ");
    expect({ code: first.code, stdout: first.stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/ issued \(it (has expired|is valid by no clock)/),
    });
    expect(second).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("is not due"),
      isUntouched: true,
    });
    expect((await runStatus(host, server.address)).stdout).toMatch(
      /^unknown +certificate kubelet +\S.* the server's CAs can't be compared/m,
    );
    expectNoSecret(first);
  });

  test.each([
    ["at the end of time", "Sat, 13 Sep 275760 00:00:00 GMT"],
    ["of a year of five digits", "Fri, 01 Jan 10000 00:00:00 GMT"],
    ["of the epoch", new Date(0).toUTCString()],
    ["of before any server", "Sun, 06 Nov 1994 08:49:37 GMT"],
    ["negative", "-1"],
    ["long", "9".repeat(5000)],
    ["empty", ""],
  ])("%s is ignored, and the host's clock is used, in a run and in a status", async (_, date) => {
    const { vault, server } = await withDate(date);
    using _vault = vault;
    await using _server = server;
    using host = createHost(issue);
    expect(await host.run(server.address, { args: ["--if-due"] })).toMatchObject({ code: 0, stderr: "" });
    const status = await runStatus(host, server.address);
    expect(status.stdout).toMatch(/^unknown +certificate kubelet +\S.* the server's CAs can't be compared/m);
    expect(status.stdout).not.toMatch(/ clock /);
  });

  test("different in each answer does not change what the host's clock says", async () => {
    const { vault, server } = await withDate((number) => off((number % 2 === 0 ? -1 : 1) * 40 * 86_400));
    using _vault = vault;
    await using _server = server;
    using host = createHost(issue);
    const { code, stdout } = await host.run(server.address, { args: ["--if-due"] });
    expect([code, stdout]).toEqual([0, expect.stringContaining("issued (there is none yet)")]);
  });
});

function csrOfStanding(destination: string): string {
  const args = ["req", "-new", "-key", `${destination}-key.pem`, "-subj", "/CN=kubelet"];
  return openssl([...args, "-addext", `subjectAltName=DNS:${dnsName},IP:${ipAddress}`]);
}

async function runStatus({ path, destination }: Host, address: string) {
  const args = ["-p", join(path, "vault"), "--config-dir", join(path, "none"), "--destination", destination];
  return await runScript("status", args, { env: { VAULT_ADDR: address } });
}
