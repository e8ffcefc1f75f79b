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

/** A block of commands in a section of a page: the first one, unless a number says otherwise. */
function commandsOf(page: string, heading: string, number = 0): string {
  return blocks(section(readFileSync(join(ROOT, "docs", page), "utf8"), heading))[number] ?? "";
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
    await run(commandsOf("rotation.md", "A CA that expires soon"));
    await run(commandsOf("rotation.md", "A CA with a new key"));
    const retire = commandsOf("rotation.md", "A CA with a new key", 1);
    expect(await run(`{ ${retire}\n} 2>&1 || test $? = 75`)).toContain("less than eight days ago");
    const stolen = commandsOf("rotation.md", "A stolen key").split("\n");
    await run(stolen.filter((line) => line.startsWith("rotate-ca")).join("\n"));
    expect(await run("vault-helper status demo || true")).toContain("demo/pki/k8s g2");
    await run(commandsOf("admins.md", "Teardown"));
    const client = createVaultClient({ address: server.address, token: server.rootToken });
    expect([...(await listMounts(client)).keys()].filter((path) => path.startsWith("demo/"))).toEqual([]);
  },
  5 * 60_000,
);
