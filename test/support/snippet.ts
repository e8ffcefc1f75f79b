import { join } from "node:path";

const lib = join(import.meta.dir, "../../lib");

/**
 * The command that runs a few lines of code in a child process, with everything they use imported from a module of lib/.
 *
 * @param from the module, such as `host/lock.ts`
 */
export function snippet(names: string, from: string, code: string): string[] {
  const source = `const ${names} = await import(${JSON.stringify(join(lib, from))});\n${code}`;
  return [process.execPath, "-e", source];
}
