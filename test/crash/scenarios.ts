import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { pkiMounts } from "../../lib/cluster/mounts.ts";
import { planMounts, planRoles } from "../../lib/cluster/setup.ts";
import type { VaultClient } from "../../lib/vault/client.ts";
import { writeSecret } from "../../lib/vault/kv.ts";
import { listIssuers } from "../../lib/vault/pki.ts";
import type { Relay } from "../support/relay.ts";
import {
  type FoundSet,
  findSet,
  promise,
  promiseMatching,
  promiseNarrow,
  promiseTidy,
  readIfThere,
} from "./world.ts";

/** What a scenario plays in: a folder of its own, and a server (with cluster `demo`) that counts what it is asked. */
export interface World {
  readonly folder: string;
  readonly relay: Relay;
  /** Runs an executable to its end, undisturbed; throws unless it exits with 0. */
  run(script: string, args: readonly string[]): Promise<void>;
  /** For a scenario of an admin's. */
  readonly admin: VaultClient;
  /** A cluster of this world's own, not set up. */
  readonly cluster: string;
}

export interface Scenario {
  readonly name: string;
  readonly script: string;
  /** With an admin's token, as a host's commands never are. */
  readonly isAdmins?: true;
  args(world: World): readonly string[];
  /** Makes what stands before the run. */
  prepare(world: World): Promise<void>;
  /** What must hold the moment the run was stopped, wherever that was. */
  stopped(world: World): void;
  /** What must hold after one more run. */
  done(world: World): void | Promise<void>;
}

export const initToken = "w-init-token";
const signPath = "demo/pki/k8s/sign/kubelet";

const paths = ({ folder }: World) => ({
  config: join(folder, "vault"),
  token: join(folder, "vault/token"),
  initToken: join(folder, "vault/init-token"),
  certificate: join(folder, "ssl/kubelet"),
  kubeconfig: join(folder, "kube/config"),
});

function dropInitToken(world: World): void {
  mkdirSync(paths(world).config, { mode: 0o700 });
  writeFileSync(paths(world).initToken, `${initToken}\n`, { mode: 0o600 });
}

async function trade(world: World): Promise<void> {
  dropInitToken(world);
  await world.run("renew-token", tokenArgs(world));
  world.relay.reset();
}

const tokenArgs = (world: World) => ["--config-path", paths(world).config];
const issueArgs = (world: World, ...more: string[]) => [
  ...tokenArgs(world),
  ...more,
  signPath,
  "kubelet",
  paths(world).certificate,
];

const kubeconfigArgs = (world: World, flag: string) => [...issueArgs(world, flag), paths(world).kubeconfig];

function tokensMade({ relay }: World): number {
  return relay.passed.filter(({ path }) => path === "auth/token/create/demo-worker").length;
}

function promiseOneToken(world: World): void {
  const { token, initToken: init } = paths(world);
  const held = readIfThere(token);
  promise(held !== undefined || readIfThere(init) === `${initToken}\n`, "the host has neither token");
  promise(held === undefined || /^hvs\.\S+\n$/.test(held), "the token file holds less than a token");
  promise(tokensMade(world) <= 2, `${tokensMade(world)} tokens were made`);
  promiseNarrow(world.folder);
}

const tokenTrade: Scenario = {
  name: "first token",
  script: "renew-token",
  args: tokenArgs,
  prepare: async (world) => dropInitToken(world),
  stopped: promiseOneToken,
  done(world) {
    promiseOneToken(world);
    promise(readIfThere(paths(world).token) !== undefined, "the host has no token");
    promise(readIfThere(paths(world).initToken) === undefined, "the init token is still there");
    promiseTidy(world.folder);
  },
};

const renewal: Scenario = {
  name: "token renewal",
  script: "renew-token",
  args: tokenArgs,
  prepare: trade,
  stopped: promiseOneToken,
  done(world) {
    promiseOneToken(world);
    promise(tokensMade(world) === 0, "a token was made, where the old one is good");
    promiseTidy(world.folder);
  },
};

/** @param standing what stands before: the old set has to stay, or the new one be whole */
function issue(name: string, flags: readonly string[], standing: (world: World) => Promise<void>): Scenario {
  const old = new WeakMap<World, ReturnType<typeof findSet>>();
  return {
    name,
    script: "issue-cert",
    args: (world) => issueArgs(world, ...flags),
    async prepare(world) {
      await trade(world);
      await standing(world);
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

/** A certificate that is due, and a hook that notes which one it found: outside the folder, whose calls are counted. */
function manifest(): Scenario {
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

/** What a kubeconfig embeds; undefined where there is none. Half a file is no YAML, or lacks a field. */
function findEmbedded(world: World): FoundSet | undefined {
  const text = readIfThere(paths(world).kubeconfig);
  if (text === undefined) return undefined;
  const { clusters, users } = Bun.YAML.parse(text) as {
    clusters: [{ cluster: Record<string, string> }];
    users: [{ user: Record<string, string> }];
  };
  const pem = (data = "") => Buffer.from(data, "base64").toString();
  return {
    key: pem(users[0].user["client-key-data"]),
    certificate: pem(users[0].user["client-certificate-data"]),
    ca: pem(clusters[0].cluster["certificate-authority-data"]),
  };
}

/** @param standing what stands before: a whole kubeconfig has to stay, the old one or the new */
function kubeconfig(name: string, flag: string, standing: (world: World) => Promise<void>): Scenario {
  const old = new WeakMap<World, FoundSet | undefined>();
  return {
    name,
    script: "write-kubeconfig",
    args: (world) => kubeconfigArgs(world, flag),
    async prepare(world) {
      await trade(world);
      await standing(world);
      old.set(world, findEmbedded(world));
    },
    stopped(world) {
      const embedded = findEmbedded(world);
      promise(embedded !== undefined || old.get(world) === undefined, "the old kubeconfig is gone");
      if (embedded !== undefined) promiseMatching(embedded);
      promiseNarrow(world.folder);
    },
    done(world) {
      const [set, embedded] = [findSet(paths(world).certificate), findEmbedded(world)];
      promise(set !== undefined, "there is no certificate");
      promise(embedded !== undefined, "there is no kubeconfig");
      promise(Bun.deepEquals(set, embedded), "the kubeconfig shows another certificate");
      promise(set.certificate !== old.get(world)?.certificate, "the certificate is the old one");
      promiseNarrow(world.folder);
      promiseTidy(world.folder);
    },
  };
}

/** Three plain files, as the Go tool left them. */
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
  tokenTrade,
  renewal,
  issue("first certificate, EC", [], none),
  issue("first certificate, RSA", ["--key-type", "rsa"], none),
  issue("renewal, key kept", [], ours),
  issue("renewal, new key", ["--force"], ours),
  issue("plain files, key kept", [], plainFiles),
  issue("plain files, new key", ["--force"], plainFiles),
  manifest(),
  // A wish: where the certificate was there in time, the next run has only the kubeconfig to write.
  kubeconfig("first kubeconfig, if due", "--if-due", none),
  kubeconfig("kubeconfig, new key", "--force", (world) =>
    world.run("write-kubeconfig", kubeconfigArgs(world, "--force")),
  ),
];

/** Files have no part in it: it is stopped between what it sends. */
export const setupScenarios: readonly Scenario[] = [
  {
    name: "set-up of mounts and CAs",
    script: "setup-mounts",
    isAdmins: true,
    args: ({ cluster }) => [cluster],
    prepare: none,
    stopped() {},
    async done({ admin, cluster }) {
      const defined = defineCluster(cluster);
      promise((await planMounts(admin, defined)).changes.length === 0, "something still has to change");
      for (const { path } of pkiMounts(defined)) {
        promise((await listIssuers(admin, path)).length === 1, `${path} has not one issuer`);
      }
    },
  },
  {
    name: "set-up of roles and tokens",
    script: "write-roles",
    isAdmins: true,
    args: ({ cluster }) => [cluster],
    async prepare({ admin, cluster, run }) {
      await run("setup-mounts", [cluster]);
      // Making an RSA key of 4096 bits for each point would take most of the time.
      await writeSecret(admin, `${cluster}/secrets/service-accounts`, { key: "made before" });
    },
    stopped() {},
    async done({ admin, cluster }) {
      const { changes } = await planRoles(admin, defineCluster(cluster));
      promise(changes.length === 0, "something still has to change");
    },
  },
];
