import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startServer } from "../lib/server/start-server.ts";
import { createVaultClient } from "../lib/vault/client.ts";
import { listMounts } from "../lib/vault/sys.ts";
import { ensureBuilt } from "../tools/build.ts";
import { ROOT } from "../tools/main.ts";
import { exampleFile } from "./cluster/file.ts";
import { temporaryFolder } from "./support/folder.ts";
import { blocks, section } from "./support/markdown.ts";
import { runCommand } from "./support/script.ts";

/** The first block of commands in a section of a page. */
function commandsOf(page: string, heading: string): string {
  return blocks(section(readFileSync(join(ROOT, "docs", page), "utf8"), heading))[0] ?? "";
}

test(
  "the commands in docs/admins.md do what the page says, word for word",
  async () => {
    const dist = await ensureBuilt();
    using folder = temporaryFolder();
    await using server = await startServer({ mode: "dev" });
    const bin = join(folder.path, "bin");
    mkdirSync(bin);
    symlinkSync(server.binary.path, join(bin, "vault"));
    writeFileSync(join(folder.path, "cluster.toml"), exampleFile);
    const run = async (commands: string) => {
      const { code, stdout, stderr } = await runCommand(
        ["/bin/bash", "-ec", `set -o pipefail\n${commands}`],
        {
          cwd: folder.path,
          env: {
            PATH: `${bin}:${dist}:${process.env.PATH ?? ""}`,
            HOME: folder.path,
            VAULT_ADDR: server.address,
            VAULT_TOKEN: server.rootToken,
          },
        },
      );
      expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
      return stdout;
    };

    expect(await run(commandsOf("admins.md", "Set up"))).toContain("demo: ");
    expect(await run(commandsOf("admins.md", "A token with fewer rights"))).toContain("nothing to change");
    expect(await run(commandsOf("admins.md", "A cluster file"))).toContain("ingress");
    expect(await run(commandsOf("admins.md", "Status of a cluster"))).toMatch(/^ok +init token worker /m);
    expect(await run(commandsOf("admins.md", "After a leak"))).toContain("init_token_worker");
    const newCa = commandsOf("troubleshooting.md", "A new CA");
    expect(newCa).toContain("common_name=…");
    await run(newCa.replace("common_name=…", "common_name=next"));
    expect(await run("vault-helper status demo || true")).toContain("demo/pki/etcd-k8s next");
    await run(commandsOf("admins.md", "Teardown"));
    const client = createVaultClient({ address: server.address, token: server.rootToken });
    expect([...(await listMounts(client)).keys()].filter((path) => path.startsWith("demo/"))).toEqual([]);
  },
  5 * 60_000,
);
