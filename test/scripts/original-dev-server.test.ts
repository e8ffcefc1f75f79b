import { expect, test } from "bun:test";
import { resolveServerBinary } from "../../lib/server/binary.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, scriptPath } from "../support/script.ts";
import { until } from "../support/wait.ts";

const ids = { etcd: "init-token-etcd", master: "init-token-master", worker: "init-token-worker" };

/** A port that was free just now. */
function freePort(): number {
  using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  return listener.port;
}

test.each([
  // Tarmak's script for acceptance tests
  [Object.entries({ ...ids, all: "init-token-all" }).map(([role, id]) => `--init-token-${role}=${id}`), "-t"],
  [["-e", ids.etcd, "-m=init-token-master", "-oinit-token-worker", "-a", "init-token-all", "-w"], "--port"],
  [["-c", "175200h", "-d8760h", "-s=720h", "-w=true", "-l", "2"], "-t"],
])(
  "dev-server test %j %s PORT serves a cluster until a signal ends it",
  async (flags, letter) => {
    using folder = temporaryFolder();
    const port = freePort();
    const { path, kind } = await resolveServerBinary();
    const child = Bun.spawn(
      [await scriptPath("vault-helper"), "dev-server", "test", ...flags, letter, String(port)],
      {
        env: { PATH: "/usr/bin:/bin", HOME: folder.path, [`${kind.toUpperCase()}_BINARY`]: path },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    let said = "";
    void (async () => {
      for await (const chunk of child.stdout) said += Buffer.from(chunk).toString();
    })();
    await until(() => said.includes("test is set up at") || child.exitCode !== null);
    expect([child.exitCode, said]).toEqual([null, expect.stringContaining(`http://127.0.0.1:${port}`)]);
    if (flags.some((flag) => flag.includes("init-token-worker"))) {
      await Bun.write(`${folder.path}/vault/init-token`, "init-token-worker");
      const env = { VAULT_ADDR: `http://127.0.0.1:${port}`, VAULT_INIT_ROLE: "test-worker" };
      expect((await runScript("renew-token", ["-p", `${folder.path}/vault`], { env })).code).toBe(0);
    }
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  },
  60_000,
);
