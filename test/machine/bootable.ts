import { describe } from "bun:test";
import { whyNoMachine } from "./tree.ts";

/** Tests that boot a machine. Where none can be booted they are skipped, and each is told with the reason. */
export function describeBooted(name: string, tests: () => void): void {
  const reason = whyNoMachine();
  const told = reason === undefined ? name : `${name} (skipped here, since ${reason})`;
  describe.skipIf(reason !== undefined)(told, tests);
}
