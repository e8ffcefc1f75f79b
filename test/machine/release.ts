import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt, linkNames } from "../../tools/build.ts";
import { ROOT } from "../../tools/main.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runCommand } from "../support/script.ts";

/** A release's archive for this machine, served on the loopback. */
export interface ServedRelease extends Disposable {
  readonly url: string;
  readonly sha256: string;
}

/** Packs the files that a host needs from a release, with the archive's layout, and serves them like a download site. */
export async function serveRelease(): Promise<ServedRelease> {
  await ensureBuilt();
  const folder = temporaryFolder();
  const file = join(folder.path, "release.tar.gz");
  const executables = ["vault-helper", ...linkNames()].map((name) => `dist/${name}`);
  const layout = ["--transform=s,^dist/,bin/,", "--transform=s,^,vault-helper/,"];
  const pack = ["tar", "--use-compress-program=gzip -1", ...layout, "-cf", file, ...executables, "units"];
  const { code, stderr } = await runCommand(pack, { cwd: ROOT });
  if (code !== 0) throw new Error(`the release can't be packed: ${stderr}`);
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(Bun.file(file)) });
  return {
    url: `http://127.0.0.1:${server.port}/vault-helper.tar.gz`,
    sha256: createHash("sha256").update(readFileSync(file)).digest("hex"),
    [Symbol.dispose]() {
      server.stop(true);
      folder[Symbol.dispose]();
    },
  };
}
