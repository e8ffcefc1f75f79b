import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { exchangeInitToken, paths, signPath, tokenArgs } from "./host-world.ts";
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

/** Outside the folder, because calls below it are counted. */
const log = ({ folder }: World, hook: string) => `${folder}.${hook}`;

/** Logs the certificate that it finds. Only hooks call `chdir`, so a kill at that call hits the hook, not the run. */
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

/** Whether the hook's last run was for this certificate. */
function hasRun(world: World, hook: string, { certificate }: FoundSet): boolean {
  const told = readIfThere(log(world, hook))?.trimEnd().split("\n").at(-1)?.split(" ")[0];
  return told === new Bun.CryptoHasher("sha256").update(certificate).digest("hex");
}

/** For each change, a hook may run twice, and has to run at least once. */
function promiseKept(world: World, hooks: readonly string[], set: FoundSet): void {
  const isPending = readIfThere(pendingPath(world)) !== undefined;
  for (const hook of hooks)
    promise(isPending || hasRun(world, hook, set), `the hook ${hook} is neither pending nor has it run`);
}

function promiseAllRun(world: World, hooks: readonly string[], set: FoundSet): void {
  for (const hook of hooks)
    promise(hasRun(world, hook, set), `the hook ${hook} has not run for the current certificate`);
  promise(readIfThere(pendingPath(world)) === undefined, "the hook is still pending");
  promiseTidy(world.folder);
}

/** A due certificate with a hook. */
export function manifest(): Scenario {
  const old = new WeakMap<World, FoundSet>();
  const atStop = new WeakMap<World, FoundSet>();
  return {
    name: "manifest with a hook, new key",
    script: "issue-cert",
    args,
    async prepare(world) {
      await exchangeInitToken(world);
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
      promiseAllRun(world, ["hook"], set);
    },
  };
}

/** A certificate that is not due, with a hook that has never run. */
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
      await exchangeInitToken(world);
      writeManifest(world, hooks);
      await world.run("issue-cert", [...args(world), "--hooks", "later"]);
      old.set(world, standingSet(world));
    },
    stopped: (world) => promiseKept(world, hooks, promiseSame(world)),
    done: (world) => promiseAllRun(world, hooks, promiseSame(world)),
  };
}
