import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { version } from "../../package.json";
import { temporaryFolder } from "../support/folder.ts";
import { startRelay } from "../support/relay.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { until } from "../support/wait.ts";

// No server is asked, so the address need not lead to one.
const relay = startRelay("http://127.0.0.1:1");
afterAll(() => relay[Symbol.asyncDispose]());
const env = { VAULT_ADDR: relay.address, VAULT_TOKEN: "not sent to anybody" };

/** Runs a command in an empty folder, and expects that it leaves nothing there and sends nothing. */
async function refused(script: string, args: readonly string[]) {
  using folder = temporaryFolder();
  const run = await runScript(script, args, { env: { ...env, HOME: folder.path }, cwd: folder.path });
  expect(readdirSync(folder.path)).toEqual([]);
  expect(relay.passed).toEqual([]);
  expect(run.stdout).toBe("");
  return run;
}

const path = "demo/pki/k8s/sign/kubelet";
const good = [path, "kubelet", "ssl/kubelet"];

describe("issue-cert refuses with 64, and does nothing, for", () => {
  const cases: ReadonlyArray<readonly [name: string, args: readonly string[], words: string]> = [
    ["no argument", [], "<sign-path> <common-name> <destination> "],
    ["one argument missing", [path, "kubelet"], "<destination> "],
    ["one argument too many", [...good, "more"], "there is one argument too many, after <destination>"],
    ["an empty one", [path, "", "ssl/kubelet"], "<common-name> is empty"],
    ["an unknown flag", ["--nothing", ...good], "there is no flag --nothing"],
    ["an unknown letter", ["-z", ...good], "there is no flag -z"],
    ["an argument's name as a flag", ["--destination=x", ...good], "there is no flag --destination"],
    ["another spelling", ["--keyType=ec", ...good], "there is no flag --keyType"],
    ["a negated flag", ["--no-force", ...good], "there is no flag --no-force"],
    ["a flag given twice", ["-t", "ec", "--key-type", "rsa", ...good], "--key-type is given twice"],
    ["a boolean flag given twice", ["--force", "--force", ...good], "--force is given twice"],
    ["a flag without a value", [...good, "-o"], "-o needs a value"],
    ["an empty value", ["--owner=", ...good], "--owner needs a value"],
    ["an empty value after it", ["--owner", "", ...good], "--owner needs a value"],
    ["a flag in a value's place", ["--owner", "--force", ...good], "--owner needs a value"],
    ["a boolean flag with a wrong value", ["--force=yes", ...good], "--force takes true or false"],
    ["a flag after --", ["--", ...good, "--force"], "there is one argument too many, after <destination>"],
    ["an unknown key type", ["-t", "dsa", ...good], "there is no key type dsa"],
    ["an unknown key size", ["-t", "ec", "-b", "512", ...good], "there is no ec key of 512 bits"],
    ["an unknown owner", ["-o", "nobody-has-this-name", ...good], 'there is no user "nobody-has-this-name"'],
    ["an invalid path", ["demo//sign", "kubelet", "x"], '"demo//sign" is not a path in Vault'],
    ["a path upwards", ["demo/../sys/seal", "kubelet", "x"], "is not a path in Vault"],
    ["an invalid destination", [path, "kubelet", "ssl/.."], "can't be a certificate's destination"],
    [
      "a destination among another one's sets",
      [path, "kubelet", "ssl/.a.set/b"],
      "/ssl/.a.set is reserved for the files of one",
    ],
    ["an invalid common name", [path, "a\nb", "x"], '"a\\nb" can\'t be the common name'],
    ["an invalid host name", ["-s", "a,,b", ...good], '"" can\'t be the host name'],
    ["an invalid address", ["-i", "10.0.0.0/8", ...good], '"10.0.0.0/8" can\'t be the IP address'],
    ["an invalid organisation", ["-n", "a,", ...good], '"" can\'t be the organisation'],
    ["a folder as a destination", [path, "kubelet", "ssl/"], "can't be a certificate's destination"],
    ["the working folder as a destination", [path, "kubelet", "."], "can't be a certificate's destination"],
    ["a time limit without a unit", ["--timeout", "5", ...good], '"5" is not a duration'],
    ["a time limit of zero", ["--timeout", "0s", ...good], "--timeout 0s is out of range"],
    ["a time limit that overflows a timer", ["--timeout", "30d", ...good], "--timeout 30d is out of range"],
    ["an unknown log level", ["-l", "3", ...good], '"3" is not a log level'],
  ];
  test.each(cases)("%s", async (_name, args, words) => {
    const { code, stderr } = await refused("issue-cert", args);
    expect(stderr).toContain(words);
    expect(stderr).toMatch(/^issue-cert: [^\n]+[^.\n]\n( {2}[^\n]+\n)?$/);
    expect(code).toBe(64);
  });
});

describe("renew-token refuses with 64, and does nothing, for", () => {
  test.each([
    ["an argument", ["now"], "it takes no arguments"],
    ["an unknown flag", ["--force"], "there is no flag --force"],
    ["a flag given twice", ["-p", "a", "--config-path", "b"], "--config-path is given twice"],
    ["a flag without a value", ["--init-role"], "--init-role needs a value"],
    ["a bad time limit", ["--timeout", "soon"], '"soon" is not a duration'],
    ["a bad log level", ["--log-level=loud"], '"loud" is not a log level'],
  ])("%s", async (_name, args, words) => {
    const { code, stderr } = await refused("renew-token", args);
    expect(stderr).toContain(words);
    expect(code).toBe(64);
  });
});

describe.each(["issue-cert", "renew-token"])("%s", (script) => {
  test.each(["--help", "-h", "--help --nothing"])("shows its help with examples for %s", async (args) => {
    const { code, stdout, stderr } = await runScript(script, args.split(" "));
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toStartWith(`${script}: `);
    expect(stdout).toContain(`\nExamples:\n  # `);
    expect(stdout).toMatch(new RegExp(`\n  ${script} .*\n`));
    expect(stdout).toContain("\nExit codes:\n");
  });

  test("shows its version", async () => {
    expect(await runScript(script, ["--version"])).toEqual({
      code: 0,
      stdout: `${script} ${version}\n`,
      stderr: "",
    });
  });

  test.each([
    ["VAULT_ADDR", "vault.example.com"],
    ["VAULT_ADDR", "ftp://vault.example.com"],
    ["VAULT_CLIENT_TIMEOUT", "soon"],
    ["VAULT_MAX_RETRIES", "-1"],
  ])("ends with 78 for %s=%s, and does nothing", async (name, value) => {
    using folder = temporaryFolder();
    const args = script === "issue-cert" ? ["a/sign/b", "a", "./a"] : [];
    const run = await runScript(script, args, { env: { ...env, [name]: value }, cwd: folder.path });
    expect(run.code).toBe(78);
    expect(run.stderr).toContain(JSON.stringify(value));
    expect(readdirSync(folder.path)).toEqual([]);
    expect(relay.passed).toEqual([]);
  });
});

describe("a request that hangs", () => {
  for (const [script, made] of [
    ["issue-cert", "ssl/.kubelet.set/lock"],
    ["renew-token", ""],
  ] as const) {
    const start = async (folder: string, more: readonly string[] = []) => {
      const hanging = startRelay("http://127.0.0.1:1", () => new Promise(() => {}));
      await Bun.write(join(folder, "token"), "hvs.some-token");
      const args = script === "issue-cert" ? [path, "kubelet", join(folder, "ssl/kubelet")] : ["-p", folder];
      const child = Bun.spawn([await scriptPath(script), ...args, ...more], {
        env: {
          VAULT_ADDR: hanging.address,
          ...(script === "issue-cert" ? { VAULT_TOKEN: "some-token" } : {}),
        },
        stdout: "pipe",
        stderr: "pipe",
      });
      await until(() => hanging.passed.length > 0);
      return { child, hanging };
    };
    const filesIn = (folder: string) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((it) => !it.isDirectory())
        .map((it) => join(it.parentPath, it.name).slice(folder.length + 1))
        .filter((name) => name !== made);

    test.each([
      ["SIGTERM", 143],
      ["SIGINT", 130],
    ] as const)(`${script} ends at once by %s with %d, and leaves nothing`, async (signal, code) => {
      using folder = temporaryFolder();
      const { child, hanging } = await start(folder.path);
      await using _ = hanging;
      child.kill(signal);
      expect(await child.exited).toBe(code);
      expect(await child.stderr.text()).toContain(`stopped by ${signal}`);
      expect(filesIn(folder.path)).toEqual(["token"]);
    });

    test(`${script} ends with 75 when its own time limit is over`, async () => {
      using folder = temporaryFolder();
      const { child, hanging } = await start(folder.path, ["--timeout", "300ms"]);
      await using _ = hanging;
      expect(await child.exited).toBe(75);
      expect(await child.stderr.text()).toContain("the time limit of 0.3 s is over");
      expect(filesIn(folder.path)).toEqual(["token"]);
    });
  }
});
