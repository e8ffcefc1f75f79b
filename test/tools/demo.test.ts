import { expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { ROOT } from "../../tools/main.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/wait.ts";

/** Runs the demo with its own folder for temporary files, which has to be empty at the end. */
async function demo(env: Readonly<Record<string, string>>, kill?: NodeJS.Signals) {
  using folder = temporaryFolder();
  const { path, kind } = await resolveServerBinary();
  const child = Bun.spawn([process.execPath, join(ROOT, "tools/demo.ts")], {
    env: {
      PATH: process.env.PATH ?? "",
      HOME: folder.path,
      TMPDIR: folder.path,
      [kind === "bao" ? "BAO_BINARY" : "VAULT_BINARY"]: path,
      // A developer's own server and token, which the demo must not use.
      VAULT_ADDR: "http://127.0.0.1:1",
      VAULT_TOKEN: "somebody-elses",
      ...env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  if (kill !== undefined) {
    await until(() => readdirSync(folder.path).some((name) => name.startsWith("vault-helper-server-")));
    child.kill(kill);
  }
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  // The server's keeper removes its files a moment later.
  await until(() => readdirSync(folder.path).every((name) => !name.startsWith("vault-helper-")));
  return { stdout, stderr, code };
}

test("the demo runs to its end, and leaves nothing behind", async () => {
  const { stdout, code } = await demo({});
  expect(code).toBe(0);
  expect(stdout.trimStart()).toStartWith("This demo writes only to a temporary folder, /");
  for (const told of [
    "demo: 10 changes (9 created, 1 updated)",
    "demo: 32 changes (32 created, 0 updated)",
    "nothing to change",
    "init token exchanged",
    "kubelet.pem: OK",
    "token renewed, 5y left",
    "is not due",
    "4 ok",
    "/etc/kubernetes/ssl/kubelet-key.pem  0600",
  ]) {
    expect(stdout).toContain(told);
  }
});

test("the demo stops the server and removes its files when it fails in the middle", async () => {
  using bin = temporaryFolder();
  writeFileSync(join(bin.path, "openssl"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
  const { stderr, code } = await demo({ PATH: `${bin.path}:${process.env.PATH}` });
  expect(code).not.toBe(0);
  expect(stderr).toContain("openssl ended with 3; the demo stops here");
});

test("the demo stops the server and removes its files when it is interrupted", async () => {
  const { code } = await demo({}, "SIGINT");
  expect(code).toBe(130);
});
