import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { paths, signPath, tokenArgs, trade } from "./host-world.ts";
import type { Scenario, World } from "./scenario.ts";
import {
  type FoundSet,
  findSet,
  promise,
  promiseMatching,
  promiseNarrow,
  promiseTidy,
  readIfThere,
} from "./world.ts";

const args = (world: World) => [...tokenArgs(world), "--config-dir", join(world.folder, "certs.d")];

const pendingPath = (world: World) => join(dirname(paths(world).certificate), ".kubelet.set/pending");

/** Outside the folder, whose calls are counted. */
const log = ({ folder }: World, hook: string) => `${folder}.${hook}`;

/** Notes which certificate it found. Nothing but it calls `chdir`: what is killed there is the hook, and not the run. */
const hookCommand = (world: World, hook: string) => [
  "/bin/sh",
  "-c",
  'cd "$1" && sha256sum < "$VAULT_HELPER_CERTIFICATE" >> "$0"',
  log(world, hook),
  dirname(paths(world).certificate),
];

function writeManifest(world: World, hooks: readonly string[], more = ""): void {
  const text = `sign_path = "${signPath}"
    common_name = "kubelet"
    destination = "${paths(world).certificate}"
    on_change = ${JSON.stringify(hooks.map((hook) => hookCommand(world, hook)))}
    ${more}`;
  mkdirSync(join(world.folder, "certs.d"), { recursive: true, mode: 0o755 });
  writeFileSync(join(world.folder, "certs.d/kubelet.toml"), text, { mode: 0o644 });
}

function standingSet(world: World): FoundSet {
  const set = findSet(paths(world).certificate);
  promise(set !== undefined, "there is no certificate");
  promiseMatching(set);
  promiseNarrow(world.folder);
  return set;
}

/** Whether the last that a hook was told of is this certificate. */
function wasTold(world: World, hook: string, { certificate }: FoundSet): boolean {
  const told = readIfThere(log(world, hook))?.trimEnd().split("\n").at(-1)?.split(" ")[0];
  return told === new Bun.CryptoHasher("sha256").update(certificate).digest("hex");
}

/** A hook may be told twice of one change, and never of none. */
function promiseKept(world: World, hooks: readonly string[], set: FoundSet): void {
  const isPending = readIfThere(pendingPath(world)) !== undefined;
  for (const hook of hooks)
    promise(isPending || wasTold(world, hook, set), `the hook ${hook} is neither pending nor told`);
}

function promiseAllTold(world: World, hooks: readonly string[], set: FoundSet): void {
  for (const hook of hooks)
    promise(wasTold(world, hook, set), `the hook ${hook} was not told of the certificate that stands`);
  promise(readIfThere(pendingPath(world)) === undefined, "the hook is still pending");
  promiseTidy(world.folder);
}

/** A certificate that is due, and a hook. */
export function manifest(): Scenario {
  const old = new WeakMap<World, FoundSet>();
  const atStop = new WeakMap<World, FoundSet>();
  return {
    name: "manifest with a hook, new key",
    script: "issue-cert",
    args,
    async prepare(world) {
      await trade(world);
      writeManifest(world, ["hook"]);
      await world.run("issue-cert", args(world));
      writeManifest(world, ["hook"], 'key_type = "ed25519"');
      old.set(world, standingSet(world));
    },
    stopped(world) {
      const set = standingSet(world);
      promiseKept(world, ["hook"], set);
      atStop.set(world, set);
    },
    done(world) {
      const set = standingSet(world);
      const [before, stopped] = [old.get(world), atStop.get(world)];
      promise(set.key !== before?.key, "the key is the old one");
      const wasDone = stopped?.certificate !== before?.certificate;
      promise(!wasDone || set.certificate === stopped?.certificate, "a certificate was issued for nothing");
      promiseAllTold(world, ["hook"], set);
    },
  };
}

/** A certificate that is as it should be, of which nobody was told yet. */
export function pendingHooks(): Scenario {
  const hooks = ["first", "second"];
  const old = new WeakMap<World, FoundSet>();
  const promiseSame = (world: World) => {
    const set = standingSet(world);
    promise(set.certificate === old.get(world)?.certificate, "a certificate was issued for nothing");
    return set;
  };
  return {
    name: "hooks left by a run before",
    script: "issue-cert",
    args,
    async prepare(world) {
      await trade(world);
      writeManifest(world, hooks);
      await world.run("issue-cert", [...args(world), "--hooks", "later"]);
      old.set(world, standingSet(world));
    },
    stopped: (world) => promiseKept(world, hooks, promiseSame(world)),
    done: (world) => promiseAllTold(world, hooks, promiseSame(world)),
  };
}
