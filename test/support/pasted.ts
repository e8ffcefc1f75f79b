import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { linkNames } from "../../tools/build.ts";
import { ROOT } from "../../tools/main.ts";
import { temporaryFolder } from "./folder.ts";
import { blocks } from "./markdown.ts";
import { runCommand } from "./script.ts";

/** The blocks of a page that a reader pastes into a shell: the indented ones, except for synopses. */
export function commandBlocks(path: string): string[] {
  return blocks(readFileSync(join(ROOT, path), "utf8")).filter((block) => !block.includes("[flags]"));
}

/** Programs besides ours that a block may call. The last line of each is its output. */
const others: Readonly<Record<string, string>> = {
  hostname: "node-1.example.com",
  vault: "",
  npm: "",
  git: "",
  dpkg: "",
  rpm: "",
};

/**
 * Runs a block in a real shell, in an empty folder. Stand-ins for our programs only note their arguments.
 *
 * @returns the words of each call, the program's name first
 * @throws if the shell does not exit with 0, for example after a syntax error or for a missing program
 */
export async function callsIn(block: string): Promise<string[][]> {
  using folder = temporaryFolder();
  const calls = join(folder.path, "calls");
  const names = ["vault-helper", ...linkNames(), ...Object.keys(others)];
  for (const name of names) {
    // In one write, since programs of a pipe run at the same time; a line feed would end it early.
    const note = `printf '%s\\0' ${name} "$@" $'\\x1e' >>'${calls}'`;
    const program = `#!/bin/bash\n${note}\necho '${others[name] ?? ""}'\n`;
    writeFileSync(join(folder.path, name), program, { mode: 0o755 });
  }
  writeFileSync(calls, "");
  const { code, stderr } = await runCommand(["/bin/bash", "-eu", "-c", block], {
    cwd: folder.path,
    env: { PATH: `${folder.path}:/usr/bin:/bin` },
  });
  if (code !== 0) throw new Error(`${block}\nended with ${code}: ${stderr}`);
  return readFileSync(calls, "utf8")
    .split("\x1e\0")
    .filter((call) => call !== "")
    .map((call) => call.split("\0").slice(0, -1));
}
