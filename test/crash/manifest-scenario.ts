import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { paths, signPath, tokenArgs, trade } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import { findSet, promise, promiseMatching, promiseNarrow, promiseTidy, readIfThere } from "./world.ts";

/** A certificate that is due, and a hook that notes which one it found: outside the folder, whose calls are counted. */
export function manifest(): Scenario {
  const old = new WeakMap<World, ReturnType<typeof findSet>>();
  const atStop = new WeakMap<World, ReturnType<typeof findSet>>();
  const log = ({ folder }: World) => `${folder}.log`;
  const args = (world: World) => [...tokenArgs(world), "--config-dir", join(world.folder, "certs.d")];
  const write = (world: World, more: string) => {
    const hook = ["/bin/sh", "-c", 'sha256sum < "$VAULT_HELPER_CERTIFICATE" >> "$0"', log(world)];
    const text = `sign_path = "${signPath}"
      common_name = "kubelet"
      destination = "${paths(world).certificate}"
      on_change = [${JSON.stringify(hook)}]
      ${more}`;
    mkdirSync(join(world.folder, "certs.d"), { recursive: true, mode: 0o755 });
    writeFileSync(join(world.folder, "certs.d/kubelet.toml"), text, { mode: 0o644 });
  };
  return {
    name: "manifest with a hook, new key",
    script: "issue-cert",
    args,
    async prepare(world) {
      await trade(world);
      write(world, "");
      await world.run("issue-cert", args(world));
      write(world, 'key_type = "ed25519"');
      old.set(world, findSet(paths(world).certificate));
    },
    stopped(world) {
      const set = findSet(paths(world).certificate);
      promise(set !== undefined, "the old certificate is gone");
      promiseMatching(set);
      promiseNarrow(world.folder);
      atStop.set(world, set);
    },
    done(world) {
      const set = findSet(paths(world).certificate);
      promise(set !== undefined, "there is no certificate");
      promiseMatching(set);
      const [before, stopped] = [old.get(world), atStop.get(world)];
      promise(set.key !== before?.key, "the key is the old one");
      const wasDone = stopped?.certificate !== before?.certificate;
      promise(!wasDone || set.certificate === stopped?.certificate, "a certificate was issued for nothing");
      const told = readIfThere(log(world))?.trimEnd().split("\n").at(-1)?.split(" ")[0];
      const hash = new Bun.CryptoHasher("sha256").update(set.certificate).digest("hex");
      promise(told === hash, "the hook was not told of the certificate that stands");
      const pending = join(dirname(paths(world).certificate), ".kubelet.set/pending");
      promise(readIfThere(pending) === undefined, "the hook is still pending");
      promiseNarrow(world.folder);
      promiseTidy(world.folder);
    },
  };
}
