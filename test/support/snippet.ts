import { join } from "node:path";

const lib = join(import.meta.dir, "../../lib");

/**
 * The command that runs a few lines in a process of their own, with what they name of a module of lib/.
 *
 * @param from `host/lock.ts`
 */
export function snippet(names: string, from: string, code: string): string[] {
  const source = `const ${names} = await import(${JSON.stringify(join(lib, from))});\n${code}`;
  return [process.execPath, "-e", source];
}
