import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";
import { isOneSentence, type Stage, setStage, signPath } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());
beforeEach(() => stage.relay.reset());

const noDuration = [
  "60",
  "-1s",
  "1e3s",
  "0x10s",
  "1,5s",
  "1.s",
  ".5s",
  "1h-",
  "s",
  "1 s",
  "1S",
  "∞",
  "NaNs",
  "١s",
];
const pastAnyTimer = ["25d", "100y", "99999999999999y", "9".repeat(400).concat("s")];

/** By script and flag, with the values that it refuses. */
const flags: ReadonlyArray<readonly [script: string, flag: string, values: readonly string[]]> = [
  ["setup-mounts", "--timeout", ["0", "0s", "0h0m", ...noDuration, ...pastAnyTimer]],
  ["setup-mounts", "--max-validity-ca", ["0", "0s", "1ns", "1.5s", "293y", "106752d", ...noDuration]],
  ["write-roles", "--max-validity-admin", ["0", "0s", "1500ms", "293y", ...noDuration]],
  ["write-roles", "--max-validity-components", ["0", "0s", "1500ms", "293y", ...noDuration]],
  ["setup-mounts", "--log-level", ["-1", "3", "1.0", "00", "0x1", "1e0"]],
];

describe("a number on the command line is refused without a request:", () => {
  const rows = flags.flatMap(([script, flag, values]) =>
    values.map((value) => [flag, value.slice(0, 20), script, value] as const),
  );
  test.each(rows)("%s=%s", async (flag, _, script, value) => {
    const result = await runScript(script, [`${flag}=${value}`, "demo"], { env: stage.admin });
    expect(result).toMatchObject({ code: 64, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
    expect(stage.relay.passed).toEqual([]);
  });

  test.each(["0", "-256", "256.0", "+256", " 256", "0x100", "2.56e2", "1e99", "257", "2048,", "９"])(
    "--key-bit-size=%s",
    async (bits) => {
      using folder = temporaryFolder();
      const args = [`--key-bit-size=${bits}`, signPath, "etcd-1", join(folder.path, "etcd")];
      const result = await runScript("issue-cert", args, { env: stage.admin });
      expect(result).toMatchObject({ code: 64, stdout: "" });
      expect(isOneSentence(result)).toBe(true);
      expect(stage.relay.passed).toEqual([]);
      expect(readdirSync(folder.path)).toEqual([]);
    },
  );
});

describe("a number in the environment is refused by the variable's name, without a request:", () => {
  const variables: ReadonlyArray<readonly [name: string, values: readonly string[]]> = [
    ["VAULT_CLIENT_TIMEOUT", ["0", "0s", "-1", "1.5", "1e3", "30 s", "99999999999999y", "5000000y"]],
    ["VAULT_MAX_RETRIES", ["-1", "1.5", "1e2", "0x10", "1000", "٣"]],
    ["VAULT_SKIP_VERIFY", ["2", "yes", "-1"]],
  ];
  const rows = variables.flatMap(([name, values]) => values.map((value) => [name, value] as const));
  test.each(rows)("%s=%s", async (name, value) => {
    // The variable that turns off TLS checks is only read for an https address.
    const address = name === "VAULT_SKIP_VERIFY" ? { VAULT_ADDR: "https://127.0.0.1:1" } : {};
    const result = await runScript("setup-mounts", ["demo"], {
      env: { ...stage.admin, ...address, [name]: value },
    });
    expect(result.stderr).toContain(`${name} is ${JSON.stringify(value)}, which is `);
    expect(result).toMatchObject({ code: 78, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
    expect(stage.relay.passed).toEqual([]);
  });

  test.each([
    "127.0.0.1",
    "ftp://127.0.0.1",
    "http://127.0.0.1:0x50000",
    "http://127.0.0.1:65536",
    "http://",
    "//a",
  ])("VAULT_ADDR=%s", async (address) => {
    const env = { ...stage.admin, VAULT_ADDR: address };
    const result = await runScript("setup-mounts", ["demo"], { env });
    expect(result.stderr).toContain("is not the address of a server");
    expect(result).toMatchObject({ code: 78, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
  });
});

describe("a number at its limit is accepted:", () => {
  test.each([
    ["--timeout=24d", {}],
    ["--timeout=1.5h", {}],
    ["-l=2", {}],
    ["--max-validity-ca=292y", {}],
    ["--max-validity-ca=1h0.5m30s", {}],
    ["--timeout=1m", { VAULT_CLIENT_TIMEOUT: "100y" }],
    ["--timeout=1m", { VAULT_CLIENT_TIMEOUT: "30" }],
    ["--timeout=1m", { VAULT_MAX_RETRIES: "999" }],
  ])("%s %j", async (flag, env) => {
    const result = await runScript("setup-mounts", ["--dry-run", flag, "demo"], {
      env: { ...stage.admin, ...env },
    });
    expect(result.code).toBe(0);
    expect(stage.relay.writes()).toEqual([]);
  });

  test("a validity of 292 years, even by the server", async () => {
    const args = ["--max-validity-ca=292y", "long-lived"];
    expect(await runScript("setup-mounts", args, { env: stage.admin })).toMatchObject({
      code: 0,
      stderr: "",
    });
  });

  test("a time limit that no request can meet, with one sentence and 75", async () => {
    const result = await runScript("setup-mounts", ["--timeout=1us", "demo"], { env: stage.admin });
    expect(result).toMatchObject({ code: 75, stdout: "" });
    expect(isOneSentence(result)).toBe(true);
  });
});

describe("a number out of range in an answer ends in one sentence, not in an internal error:", () => {
  const odd = ["1e300", "1e999", "253402300800", "-1e15", "9007199254740993", '"1h"', "[1]", "null"];
  const good = { accessor: "a", ttl: 60, creation_ttl: 90, renewable: true, policies: ["default"] };
  const auth = {
    client_token: "t",
    accessor: "a",
    lease_duration: 60,
    renewable: true,
    policies: ["default"],
  };
  const body = (of: object, field: string, value: string) =>
    JSON.stringify({ ...of, [field]: "HERE" }).replace('"HERE"', value);
  const answering = (auth: string, data: string) =>
    startScripted(
      ({ path }) =>
        new Response(path.includes("seal-status") ? '{"sealed":false}' : `{"auth":${auth},"data":${data}}`),
    );
  const run = async (script: string, address: string) => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "token"), "t", { mode: 0o600 });
    const dir = script === "status" ? ["--destination", join(folder.path, "none")] : [];
    return await runScript(script, ["-p", folder.path, ...dir], { env: { VAULT_ADDR: address } });
  };

  test.each(odd)("%s, as the lease of a token that is renewed", async (value) => {
    await using server = answering(body(auth, "lease_duration", value), "{}");
    const result = await run("renew-token", server.address);
    expect(result).toMatchObject({ code: 69, stdout: "" });
    expect(result.stderr).toContain("has no field lease_duration that is a number");
    expect(isOneSentence(result)).toBe(true);
  });

  const fields = ["ttl", "creation_ttl", "period"];
  // A token role without a period has null here, or lacks the field.
  const rows = fields.flatMap((field) =>
    odd.filter((value) => field !== "period" || value !== "null").map((value) => [field, value] as const),
  );
  test.each(rows)("as %s of a token in a status, %s", async (field, value) => {
    await using server = answering("{}", body(good, field, value));
    const { code, stdout, stderr } = await run("status", server.address);
    expect([code, stderr]).toEqual([1, ""]);
    expect(stdout).toContain(`has no field ${field} that is a number`);
  });

  test.each([
    ["ttl", "0"],
    ["ttl", "-1"],
    ["ttl", "157680000"],
    ["ttl", "253402300799"],
    ["period", "null"],
    ["creation_ttl", "253402300799"],
  ])("%s of %s is accepted", async (field, value) => {
    await using server = answering("{}", body(good, field, value));
    const { code, stdout } = await run("status", server.address);
    expect(code).not.toBe(70);
    expect(stdout).toMatch(/ token .* accessor a/);
  });
});
