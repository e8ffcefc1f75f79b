import { describe, expect, test } from "bun:test";
import { startScripted } from "../support/scripted.ts";
import { createHost, expectNoSecret, hostToken, issue, type Outcome } from "./host.ts";
import { createScriptedVault, type ScriptedVault } from "./scripted-vault.ts";

// A host whose clock is wrong, as one is before its time service has run: here the server's is moved instead.

const dayMs = 86_400_000;

/** Runs `issue-cert --if-due` so many times, one after the other, on a host with no certificate yet. */
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
  ])("%s asks for the time first where an admin's token spares the renewal", async (_, aheadMs) => {
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
  ])("%s says nothing of it", async (_, aheadMs) => {
    using vault = await createScriptedVault(aheadMs);
    const { outcomes, signs } = await runs(vault, 2);
    expect(outcomes.map(({ code, stderr }) => ({ code, stderr }))).toEqual([
      { code: 0, stderr: "" },
      { code: 0, stderr: "" },
    ]);
    expect(signs).toBe(1);
  });
});

test.each(["", "soon", "9999999999"])("a date of %j is none: the host's own time is taken", async (date) => {
  using vault = await createScriptedVault();
  await using server = startScripted(async (seen, number) => {
    const answer = await vault.good(seen, number);
    answer.headers.set("Date", date);
    return answer;
  });
  using host = createHost(issue);
  expect(await host.run(server.address, { args: ["--if-due"] })).toMatchObject({ code: 0, stderr: "" });
});

test("a certificate that is due by the server's clock alone is issued anew", async () => {
  using vault = await createScriptedVault();
  using host = createHost(issue, vault.standing);
  await using server = startScripted(async (seen, number) => {
    const answer = await vault.good(seen, number);
    answer.headers.set("Date", new Date(Date.now() + 25 * dayMs).toUTCString());
    return answer;
  });
  const { code, stdout, stderr } = await host.run(server.address, { args: ["--if-due"] });
  expect(code).toBe(0);
  expect(stdout).toContain("issued (less than a third of its life is left)");
  expect(stderr).toContain("behind the server's");
});
