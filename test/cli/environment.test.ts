import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adminToken, givenToken, serverSettings } from "../../lib/cli/environment.ts";
import { variable } from "../../lib/cli/variable.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

const prefixes = ["VAULT", "BAO"];
const address = "http://127.0.0.1:8200";

describe("variable()", () => {
  test.each([
    [{ VAULT_ADDR: "vault" }, "vault"],
    [{ BAO_ADDR: "bao" }, "bao"],
    [{ BAO_ADDR: "bao", VAULT_ADDR: "vault" }, "bao"],
    [{ BAO_ADDR: "", VAULT_ADDR: "vault" }, "vault"],
    [{ BAO_ADDR: "bao", VAULT_ADDR: "" }, "bao"],
    [{ BAO_ADDR: "", VAULT_ADDR: "" }, undefined],
    [{ ADDR: "none" }, undefined],
    [{}, undefined],
  ])("of %j is %p", (env, value) => {
    expect(variable(env, "ADDR")).toBe(value);
  });
});

describe("serverSettings()", () => {
  test("uses the server on this machine by default, over TLS", () => {
    const settings = serverSettings({});
    expect(settings.address).toBe("https://127.0.0.1:8200");
    expect(settings).not.toHaveProperty("namespace");
    expect(settings).not.toHaveProperty("requestTimeoutMs");
    expect(settings).not.toHaveProperty("maxRetries");
  });

  test.each(prefixes)("reads each variable that begins with %s", (prefix) => {
    const settings = serverSettings({
      [`${prefix}_ADDR`]: address,
      [`${prefix}_NAMESPACE`]: "team/one",
      [`${prefix}_CLIENT_TIMEOUT`]: "1m30s",
      [`${prefix}_MAX_RETRIES`]: "5",
    });
    expect(settings).toMatchObject({
      address,
      namespace: "team/one",
      tls: {},
      requestTimeoutMs: 90_000,
      maxRetries: 5,
    });
  });

  test.each([
    ["/team/", "team"],
    ["//team/one//", "team/one"],
    ["/", undefined],
  ])("removes the slashes around the namespace %s", (text, namespace) => {
    expect(serverSettings({ VAULT_ADDR: address, VAULT_NAMESPACE: text }).namespace).toBe(namespace);
  });

  test.each([
    ["30", 30_000],
    ["30s", 30_000],
    ["250ms", 250],
    ["1h", 3_600_000],
    ["0.0001s", 1],
  ])("reads the time limit %s", (text, milliseconds) => {
    const settings = serverSettings({ VAULT_ADDR: address, VAULT_CLIENT_TIMEOUT: text });
    expect(settings.requestTimeoutMs).toBe(milliseconds);
  });

  test.each(["0", "0s", "-5s", "soon", "5 s", "1e3", "Infinity", "250000000y"])(
    "refuses the time limit %p",
    async (text) => {
      for (const prefix of prefixes) {
        const env = { VAULT_ADDR: address, [`${prefix}_CLIENT_TIMEOUT`]: text };
        const failure = await failureOf(() => serverSettings(env));
        expect(failure.message).toStartWith(`${prefix}_CLIENT_TIMEOUT is ${JSON.stringify(text)}, which`);
        expect(failure.kind).toBe("config");
        expect(failure.hint).toContain("30s");
      }
    },
  );

  test.each([
    ["0", 0],
    ["007", 7],
    ["999", 999],
  ])("reads the retries %s", (text, retries) => {
    expect(serverSettings({ VAULT_ADDR: address, VAULT_MAX_RETRIES: text }).maxRetries).toBe(retries);
  });

  test.each(["-1", "1000", "two", "1.5", " 2", "0x2", "1e2"])("refuses the retries %p", async (text) => {
    for (const prefix of prefixes) {
      const env = { VAULT_ADDR: address, [`${prefix}_MAX_RETRIES`]: text };
      const failure = await failureOf(() => serverSettings(env));
      expect(failure.message).toBe(
        `${prefix}_MAX_RETRIES is ${JSON.stringify(text)}, which is not a number up to 999`,
      );
      expect(failure.kind).toBe("config");
    }
  });
});

describe("adminToken()", () => {
  const folder = temporaryFolder();
  const home = join(folder.path, "home");
  const tokenFile = join(folder.path, "token-file");
  afterAll(() => folder[Symbol.dispose]());

  beforeEach(() => {
    rmSync(home, { recursive: true, force: true });
    mkdirSync(home);
    writeFileSync(join(home, ".vault-token"), "hvs.login\n", { mode: 0o600 });
    writeFileSync(tokenFile, "hvs.file\n", { mode: 0o600 });
  });

  test.each([
    ["BAO_TOKEN first", { BAO_TOKEN: "hvs.bao", VAULT_TOKEN: "hvs.vault" }, "hvs.bao"],
    ["then VAULT_TOKEN", { VAULT_TOKEN: "hvs.vault", VAULT_TOKEN_FILE: tokenFile }, "hvs.vault"],
    ["then what VAULT_TOKEN_FILE names", { VAULT_TOKEN_FILE: tokenFile }, "hvs.file"],
    ["or BAO_TOKEN_FILE", { BAO_TOKEN_FILE: tokenFile }, "hvs.file"],
    ["then what a login left", {}, "hvs.login"],
    ["which an empty variable is not", { VAULT_TOKEN: "", BAO_TOKEN: "" }, "hvs.login"],
  ])("uses %s", (_what, env, token) => {
    expect(adminToken({ HOME: home, ...env })).toBe(token);
  });

  test.each([
    ["there is no file", () => rmSync(join(home, ".vault-token"))],
    ["the file is empty", () => writeFileSync(join(home, ".vault-token"), "")],
    ["the file is blank", () => writeFileSync(join(home, ".vault-token"), " \n")],
    ["there is no home", () => rmSync(home, { recursive: true })],
  ])("says what to do if %s", async (_what, prepare) => {
    prepare();
    const failure = await failureOf(() => adminToken({ HOME: home }));
    expect(failure.message).toBe("there is no admin's token");
    expect(failure.kind).toBe("permission");
    expect(failure.hint).toContain("VAULT_TOKEN");
  });

  test("names the file that it can't use, and prints none of its content", async () => {
    writeFileSync(join(home, ".vault-token"), "hvs.one\nhvs.two\n");
    const failure = await failureOf(() => adminToken({ HOME: home }));
    expect(failure.message).toContain(".vault-token");
    expect(failure.message).not.toContain("hvs.");
  });

  test.each(prefixes)(
    "fails if %s_TOKEN_FILE names a missing file, and uses no other token",
    async (prefix) => {
      const missing = join(folder.path, "missing");
      const env = { HOME: home, [`${prefix}_TOKEN_FILE`]: missing };
      const failure = await failureOf(() => adminToken(env));
      expect(failure.message).toBe(`${prefix}_TOKEN_FILE names ${missing}, where there is no token`);
      expect(failure.kind).toBe("config");
    },
  );

  test("never reads a token from the working folder, not even with an empty HOME", async () => {
    const work = join(folder.path, "work");
    mkdirSync(work);
    writeFileSync(join(work, ".vault-token"), "hvs.planted");
    chmodSync(join(work, ".vault-token"), 0o600);
    const before = process.cwd();
    process.chdir(work);
    try {
      let token: string | undefined;
      try {
        token = adminToken({ HOME: "" });
      } catch {
        // The test's user has no such file.
      }
      expect(token).not.toBe("hvs.planted");
    } finally {
      process.chdir(before);
    }
  });
});

describe("givenToken()", () => {
  test("ignores the token that a login stored", () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, ".vault-token"), "hvs.login");
    expect(givenToken({ HOME: folder.path })).toBeUndefined();
    expect(givenToken({ HOME: folder.path, VAULT_TOKEN: "hvs.vault" })).toBe("hvs.vault");
  });
});
