import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, scriptPath } from "../support/script.ts";
import { type Stage, setStage, signPath } from "./stage.ts";

// The source of a host's name (a DHCP server, a container image) must not choose where root writes.

const canUnshare = Bun.spawnSync(["unshare", "--uts", "true"]).exitCode === 0;

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

describe.skipIf(!canUnshare)("issue-cert on a host that is called", () => {
  const manifest = (destination: string) =>
    `sign_path = "${signPath}"\ncommon_name = "it"\ndestination = "${destination}"\n`;

  test.each(["../elsewhere/x", "a/../../elsewhere/x", "..", "/elsewhere", "a\u001bb"])(
    "%j writes nothing outside of a manifest's folder, and issues what does not ask for the name",
    async (name) => {
      using folder = temporaryFolder();
      const at = (path: string) => join(folder.path, path);
      for (const path of ["certs", "d", "elsewhere"]) mkdirSync(at(path), { mode: 0o755 });
      writeFileSync(at("certs/odd.toml"), manifest(`${folder.path}/d/%H`), { mode: 0o600 });
      writeFileSync(at("certs/short.toml"), manifest(`${folder.path}/d/s-%l`), { mode: 0o600 });
      writeFileSync(at("certs/plain.toml"), manifest(`${folder.path}/d/plain`), { mode: 0o600 });
      const run = await onHost(name, ["issue-cert", "--config-dir", at("certs")]);
      expect(run.stderr).toContain("is not a host name");
      expect(run.code).toBe(78);
      expect(readdirSync(at("elsewhere"))).toEqual([]);
      expect(readdirSync(at("d")).sort()).toEqual([
        ".plain.set",
        "plain-ca.pem",
        "plain-key.pem",
        "plain.pem",
      ]);
      const status = await onHost(name, [
        "status",
        "--offline",
        "-p",
        at("none"),
        "--config-dir",
        at("certs"),
      ]);
      expect(status.stdout).toMatch(/^wrong +manifest .*is not a host name/m);
      expect(status.code).toBe(1);
    },
  );

  test("an ordinary name is used in the path", async () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "it.toml"), manifest(`${folder.path}/%l`), { mode: 0o600 });
    const run = await onHost("node-7.example.com", ["issue-cert", "--config-dir", folder.path]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(readdirSync(folder.path)).toContain("node-7.pem");
  });
});

/** Runs a command on a host with this name, which hostname(1) would refuse. */
async function onHost(name: string, [script = "", ...args]: readonly string[]) {
  const path = await scriptPath(script);
  const set = 'printf %s "$1" > /proc/sys/kernel/hostname && shift && exec "$@"';
  return await runCommand(["unshare", "--uts", "bash", "-c", set, "bash", name, path, ...args], {
    env: stage.admin,
  });
}
