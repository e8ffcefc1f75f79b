import { afterAll, beforeAll, describe } from "bun:test";
import { type Installed, install } from "./host.ts";
import { type DemoServer, startDemoServer } from "./server.ts";
import { whyNoMachine } from "./tree.ts";

/** Tests that boot a machine. Where none can be booted they are skipped, and each is told with the reason. */
export function describeBooted(name: string, tests: () => void): void {
  const reason = whyNoMachine();
  const told = reason === undefined ? name : `${name} (skipped here, since ${reason})`;
  describe.skipIf(reason !== undefined)(told, tests);
}

/** What every host of cluster `demo` gets, and the server that they ask. */
export interface DemoSite {
  readonly installed: Installed;
  readonly demo: DemoServer;
}

/** Has both made before the tests of a `describe`, which alone may look at them, and gone after them. */
export function demoSite(): DemoSite {
  let installed: Installed;
  let demo: DemoServer;
  beforeAll(async () => {
    [installed, demo] = await Promise.all([install(), startDemoServer()]);
  }, 600_000);
  afterAll(async () => {
    await demo[Symbol.asyncDispose]();
    installed[Symbol.dispose]();
  });
  return {
    get installed() {
      return installed;
    },
    get demo() {
      return demo;
    },
  };
}
