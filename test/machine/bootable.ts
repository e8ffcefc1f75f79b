import { afterAll, beforeAll, describe } from "bun:test";
import { type Installed, install } from "./host.ts";
import { type DemoServer, startDemoServer } from "./server.ts";
import { whyNoMachine } from "./tree.ts";

/** A `describe` for tests that boot a machine. If none can be booted here they are skipped, with the reason in the title. */
export function describeBooted(name: string, tests: () => void): void {
  const reason = whyNoMachine();
  const told = reason === undefined ? name : `${name} (skipped here, since ${reason})`;
  describe.skipIf(reason !== undefined)(told, tests);
}

/** The files for every host of cluster `demo`, and its server. */
export interface DemoSite {
  readonly installed: Installed;
  readonly demo: DemoServer;
}

/** Makes both before the tests of a `describe` and removes them afterwards. Only its tests may use them. */
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
