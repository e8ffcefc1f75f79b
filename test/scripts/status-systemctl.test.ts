import { expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand, scriptPath } from "../support/script.ts";

test("status shows the rest if systemctl hangs and ignores signals", async () => {
  using folder = temporaryFolder();
  const systemctl = join(folder.path, "systemctl");
  writeFileSync(systemctl, "#!/bin/sh\ntrap '' TERM\nsleep 30\nsleep 30\n");
  chmodSync(systemctl, 0o755);
  // In its own mount namespace, a stand-in for systemctl is found before the real one.
  const host = `
    mount -t tmpfs none /run && mkdir -p /run/systemd/system &&
    mount -t tmpfs none /usr/sbin && install -m 0755 ${systemctl} /usr/sbin/ &&
    exec timeout -s KILL 20 ${await scriptPath("status")} --offline --config-path ${folder.path}`;
  const run = await runCommand(["unshare", "--mount", "sh", "-c", host]);
  expect([run.code, run.stderr]).toEqual([1, ""]);
  expect(run.stdout).toContain("there is none; there is no init token either");
}, 30_000);
