import { join } from "node:path";
import { writeGeneratedPages } from "./docs.ts";
import { ROOT, runMain } from "./main.ts";

await runMain(async () => {
  for (const path of await writeGeneratedPages()) console.log(`${path} written`);
  const biome = Bun.spawn([join(ROOT, "node_modules/.bin/biome"), "check", "--write"], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return await biome.exited;
});
