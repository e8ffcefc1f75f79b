import { resolveServerBinary } from "../lib/server/binary.ts";
import { ensureBuilt } from "./build.ts";
import { runBunTest } from "./bun-test.ts";
import { installMissing } from "./debian.ts";
import { ROOT, runMain } from "./main.ts";

/** The commands that tests use besides Node and Go. */
const needed = {
  openssl: "openssl",
  strace: "strace",
  "dpkg-deb": "dpkg",
  rpmbuild: "rpm",
  mandoc: "mandoc",
  fish: "fish",
  zsh: "zsh",
};

await runMain(async () => {
  const missing = installMissing(needed, "tests need them");
  if (missing.length > 0) console.error(`some tests will fail: please install ${missing.join(", ")}`);
  await resolveServerBinary();
  await ensureBuilt();
  const result = await runBunTest(process.argv.slice(2), ROOT, (text) => process.stderr.write(text));
  console.log(`${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`);
  return result.isGood ? 0 : 1;
});
