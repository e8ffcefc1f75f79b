import { exchangeInitToken, issueArgs, paths } from "./host-world.ts";
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

export const kubeconfigArgs = (world: World, flag: string) => [
  ...issueArgs(world, flag),
  paths(world).kubeconfig,
];

/** The certificates and key in a kubeconfig; undefined if it is missing. Fails for an incomplete file. */
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

/** @param prepareOld prepares the old state; afterwards a whole kubeconfig has to exist, the old one or the new one */
export function kubeconfig(
  name: string,
  flag: string,
  prepareOld: (world: World) => Promise<void>,
): Scenario {
  const old = new WeakMap<World, FoundSet | undefined>();
  return {
    name,
    script: "write-kubeconfig",
    args: (world) => kubeconfigArgs(world, flag),
    async prepare(world) {
      await exchangeInitToken(world);
      await prepareOld(world);
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
