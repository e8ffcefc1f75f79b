import { ExitCode } from "../../lib/cli/exit-code.ts";
import { runBunTest } from "../../tools/bun-test.ts";
import { ROOT, runMain } from "../../tools/main.ts";
import { whyNoMachine } from "./tree.ts";

// Runs only the tests of booted machines, with twenty power cuts and three rotations of a CA instead of a few: `npm run test:host`.

await runMain(async () => {
  const reason = whyNoMachine();
  if (reason !== undefined) {
    console.log(`skipped: no machine can be booted here, since ${reason}`);
    return ExitCode.unavailable;
  }
  process.env.VAULT_HELPER_CUT_OFFS ??= "20";
  process.env.VAULT_HELPER_ROTATIONS ??= "3";
  const result = await runBunTest(["test/machine/"], ROOT, (text) => process.stderr.write(text));
  console.log(`${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`);
  return result.isGood ? 0 : 1;
});
