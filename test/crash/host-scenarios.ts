import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { dropInitToken, exchangeInitToken, initToken, issueArgs, paths, tokenArgs } from "./host-world.ts";
import { kubeconfig, kubeconfigArgs } from "./kubeconfig-scenario.ts";
import { manifest, pendingHooks } from "./manifest-scenario.ts";
import type { Scenario, World } from "./scenario.ts";
import { oldSecret, secret } from "./secret-scenario.ts";
import { findSet, promise, promiseMatching, promiseNarrow, promiseTidy, readIfThere } from "./world.ts";

function tokensMade({ relay }: World): number {
  return relay.passed.filter(({ path }) => path === "auth/token/create/demo-worker").length;
}

function promiseOneToken(world: World): void {
  const { token, initToken: init } = paths(world);
  const held = readIfThere(token);
  promise(held !== undefined || readIfThere(init) === `${initToken}\n`, "the host has neither token");
  promise(held === undefined || /^(hv)?s\.\S+\n$/.test(held), "the token file holds less than a token");
  promise(tokensMade(world) <= 2, `${tokensMade(world)} tokens were made`);
  promiseNarrow(world.folder);
}

const tokenExchange: Scenario = {
  name: "first token",
  script: "renew-token",
  args: tokenArgs,
  prepare: async (world) => dropInitToken(world),
  stopped: promiseOneToken,
  done(world) {
    promiseOneToken(world);
    promise(readIfThere(paths(world).token) !== undefined, "the host has no token");
    // It is emptied if it can't be removed.
    promise((readIfThere(paths(world).initToken) ?? "") === "", "the init token is still there");
    promiseTidy(world.folder);
  },
};

const renewal: Scenario = {
  name: "token renewal",
  script: "renew-token",
  args: tokenArgs,
  prepare: exchangeInitToken,
  stopped: promiseOneToken,
  done(world) {
    promiseOneToken(world);
    promise(tokensMade(world) === 0, "a token was made, but the old one is valid");
    promiseTidy(world.folder);
  },
};

/** @param prepareOld prepares the old state; afterwards the old set or the whole new one has to exist */
function issue(
  name: string,
  flags: readonly string[],
  prepareOld: (world: World) => Promise<void>,
): Scenario {
  const old = new WeakMap<World, ReturnType<typeof findSet>>();
  return {
    name,
    script: "issue-cert",
    args: (world) => issueArgs(world, ...flags),
    async prepare(world) {
      await exchangeInitToken(world);
      await prepareOld(world);
      old.set(world, findSet(paths(world).certificate));
    },
    stopped(world) {
      const set = findSet(paths(world).certificate);
      promise(set !== undefined || old.get(world) === undefined, "the old certificate is gone");
      if (set !== undefined) promiseMatching(set);
      promiseNarrow(world.folder);
    },
    done(world) {
      const set = findSet(paths(world).certificate);
      promise(set !== undefined, "there is no certificate");
      promiseMatching(set);
      promise(set.certificate !== old.get(world)?.certificate, "the certificate is the old one");
      const isKept = set.key === old.get(world)?.key;
      promise(
        isKept === (old.get(world) !== undefined && !flags.includes("--force")),
        "the key is not as asked for",
      );
      promiseNarrow(world.folder);
      promiseTidy(world.folder);
    },
  };
}

const none = async () => {};
const ours = (world: World) => world.run("issue-cert", issueArgs(world));

/** Three plain files, as the Go tool leaves them. */
async function plainFiles(world: World): Promise<void> {
  await world.run("issue-cert", issueArgs(world));
  const destination = paths(world).certificate;
  for (const suffix of ["-key.pem", ".pem", "-ca.pem"]) {
    copyFileSync(destination + suffix, `${destination}${suffix}.plain`);
    rmSync(destination + suffix);
    execFileSync("mv", [`${destination}${suffix}.plain`, destination + suffix]);
  }
  rmSync(join(dirname(destination), ".kubelet.set"), { recursive: true });
}

export const hostScenarios: readonly Scenario[] = [
  tokenExchange,
  renewal,
  issue("first certificate, EC", [], none),
  issue("first certificate, RSA", ["--key-type", "rsa"], none),
  issue("renewal, key kept", [], ours),
  issue("renewal, new key", ["--force"], ours),
  issue("plain files, key kept", [], plainFiles),
  issue("plain files, new key", ["--force"], plainFiles),
  manifest(),
  pendingHooks(),
  // Preferred: once the certificate is there, the next run only has to write the kubeconfig.
  kubeconfig("first kubeconfig, if due", "--if-due", none),
  kubeconfig("kubeconfig, new key", "--force", (world) =>
    world.run("write-kubeconfig", kubeconfigArgs(world, "--force")),
  ),
  secret("first file of a secret", undefined),
  secret("file of a secret that has changed", oldSecret),
];
