import { resolveServerBinary } from "../lib/server/binary.ts";
import { ensureBuilt } from "./build.ts";
import { runBunTest } from "./bun-test.ts";
import { ROOT, runMain } from "./main.ts";

await runMain(async () => {
  await resolveServerBinary();
  await ensureBuilt();
  const result = await runBunTest(process.argv.slice(2), ROOT, (text) => process.stderr.write(text));
  console.log(`${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`);
  return result.isGood ? 0 : 1;
});
