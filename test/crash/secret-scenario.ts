import { lstatSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readSecret } from "../../lib/vault/kv.ts";
import { dropInitToken, masterToken, paths, tokenArgs } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import { promise, promiseNarrow, promiseTidy, readIfThere } from "./world.ts";

const secretPath = "demo/secrets/service-accounts";

const args = (world: World) => [
  ...tokenArgs(world),
  ...["--init-role", "demo-master", "--field", "key", "--dest-path", paths(world).secret, secretPath],
];

/** There is no lock, so a run keeps temporary files of the last hour: another run may still be writing them. */
function letAnHourPass(folder: string): void {
  const before = Date.now() / 1000 - 3700;
  for (const name of readdirSync(folder)) {
    if (name.includes(".tmp-")) utimesSync(join(folder, name), before, before);
  }
}

/** @param old the old content; afterwards it or the whole new secret has to be there */
export function secret(name: string, old: string | undefined): Scenario {
  const current = new WeakMap<World, unknown>();
  return {
    name,
    script: "read-secret",
    args,
    async prepare(world) {
      dropInitToken(world, masterToken);
      // The host has its token already. Only the secret's file matters here.
      await world.run("renew-token", [...tokenArgs(world), "--init-role", "demo-master"]);
      const { secret } = paths(world);
      mkdirSync(dirname(secret), { mode: 0o755 });
      if (old !== undefined) writeFileSync(secret, old, { mode: 0o600 });
      current.set(world, (await readSecret(world.admin, secretPath))?.key);
    },
    stopped(world) {
      const { secret } = paths(world);
      const found = readIfThere(secret);
      promise(found === old || found === current.get(world), "the file holds neither the old nor the new");
      promiseNarrow(world.folder);
      letAnHourPass(dirname(secret));
    },
    done(world) {
      const { secret } = paths(world);
      promise(readIfThere(secret) === current.get(world), "the file does not hold the secret");
      promise((lstatSync(secret).mode & 0o777) === 0o600, "the file's mode is not 0600");
      promiseNarrow(world.folder);
      promiseTidy(world.folder);
    },
  };
}

/** The secret of another cluster. */
export const oldSecret = "-----BEGIN RSA PRIVATE KEY-----\nold\n-----END RSA PRIVATE KEY-----\n";
