import { describe, expect, test } from "bun:test";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";

/** For each command, a valid command line that fails for want of a server, a token or a folder, and its exit code. */
const failing: ReadonlyArray<readonly [words: readonly string[], code: number]> = [
  [["setup", "demo"], 75],
  [["setup-mounts", "demo"], 75],
  [["write-roles", "--check", "demo"], 75],
  [["teardown", "demo"], 75],
  [["status", "demo"], 75],
  [["status", "--prometheus", "/nonexistent/folder/a.prom", "--offline"], 73],
  [["renew-token"], 77],
  [["issue-cert", "demo/pki/k8s/sign/kubelet", "node", "./kubelet"], 75],
  [["issue-cert", "--config-dir", "/nonexistent"], 78],
  [["cert", "--config", "/nonexistent/etcd.toml"], 78],
  [["write-kubeconfig", "demo/pki/k8s/sign/kubelet", "node", "./kubelet", "./kubelet.conf"], 75],
  [["read-secret", "demo/secrets/service-accounts"], 75],
  [["dev-server", "--port", "8299", "demo"], 78],
];

const wrongWords: ReadonlyArray<readonly string[]> = [
  ["setup", "--no-such-flag"],
  ["setup-mounts", "--dry-run", "--check", "demo"],
  ["write-roles", "Not An Id"],
  ["teardown"],
  ["status", "--offline", "demo"],
  ["renew-token", "surplus"],
  ["issue-cert", "--log-level", "9"],
  ["write-kubeconfig", "--timeout", "0s", "a", "b", "c", "d"],
  ["read-secret", "--field"],
  ["dev-server", "--port", "none", "demo"],
  ["version", "--no-such-flag"],
  ["no-such-command"],
];

const nobody = {
  VAULT_ADDR: "http://127.0.0.1:1",
  VAULT_TOKEN: "a-token",
  VAULT_MAX_RETRIES: "0",
  BAO_BINARY: "",
  VAULT_BINARY: "/nonexistent",
};

/** Runs it with `--json`, and checks that both streams report the same failure. */
async function failureOf(words: readonly string[], env: Readonly<Record<string, string>>) {
  using folder = temporaryFolder();
  const config = ["-p", folder.path].filter(() => /^(renew|issue|write-k|read|cert)/.test(words[0] ?? ""));
  const run = await runScript(
    "vault-helper",
    [...words.slice(0, 1), "--json", ...config, ...words.slice(1)],
    {
      env,
      cwd: folder.path,
    },
  );
  const { error, ...others } = JSON.parse(run.stdout);
  expect(others).toEqual({});
  expect(Object.keys(error)).toEqual(["message", "hint", "exitCode"]);
  expect(error.exitCode).toBe(run.code);
  expect(run.stderr).toContain(`: ${error.message}\n${error.hint === null ? "" : `  ${error.hint}\n`}`);
  return error;
}

describe("--json of a command that fails", () => {
  test.each(failing)("%j prints one object with message, hint and exit code (%d)", async (words, code) => {
    const { VAULT_TOKEN: _, ...none } = nobody;
    expect((await failureOf(words, code === 77 ? none : nobody)).exitCode).toBe(code);
  });

  test.each(wrongWords.map((words) => [words] as const))(
    "%j prints the failure of a wrong command line",
    async (words) => {
      expect((await failureOf(words, nobody)).exitCode).toBe(64);
    },
  );

  test("prints it for every spelling of the flag, and not if that is turned off or a value", async () => {
    for (const flag of ["--json", "--json=true", "--json=1"]) {
      const { stdout } = await runScript("setup-mounts", [flag, "--no-such-flag"], { env: nobody });
      expect(JSON.parse(stdout)).toMatchObject({ error: { exitCode: 64 } });
    }
    for (const words of [["--json=false"], ["--", "--json"], []]) {
      const { code, stdout } = await runScript("setup-mounts", ["--dry-run", "--check", ...words], {
        env: nobody,
      });
      expect([code, stdout]).toEqual([64, ""]);
    }
  });

  test("prints the code of a run that was ended by a signal", async () => {
    await using silent = startScripted(() => new Promise(() => {}));
    using folder = temporaryFolder();
    const child = Bun.spawn([await scriptPath("vault-helper"), "status", "--json", "demo"], {
      env: { ...nobody, VAULT_ADDR: silent.address, HOME: folder.path },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    while (silent.seen.length === 0) await Bun.sleep(10);
    child.kill("SIGTERM");
    const stdout = await new Response(child.stdout).text();
    expect(await child.exited).toBe(143);
    expect(JSON.parse(stdout).error).toMatchObject({ exitCode: 143, hint: null });
  });

  test("escapes control characters in the object", async () => {
    const { stdout } = await runScript(
      "issue-cert",
      ["--json", "--config", "/nonexistent/\u009b2J\u202e.toml"],
      {
        env: nobody,
      },
    );
    expect(stdout).toMatch(/^[\n -~]+$/);
    expect(JSON.parse(stdout).error.exitCode).toBe(78);
  });
});
