import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { World } from "./scenario.ts";

export const initToken = "w-init-token";
/** The init token of masters, whose hosts may read the cluster's secrets. */
export const masterToken = "w-init-token-of-a-master";
export const signPath = "demo/pki/k8s/sign/kubelet";

export const paths = ({ folder }: World) => ({
  config: join(folder, "vault"),
  token: join(folder, "vault/token"),
  initToken: join(folder, "vault/init-token"),
  certificate: join(folder, "ssl/kubelet"),
  kubeconfig: join(folder, "kube/config"),
  secret: join(folder, "kube/service-accounts.pem"),
});

export function dropInitToken(world: World, token = initToken): void {
  mkdirSync(paths(world).config, { mode: 0o700 });
  writeFileSync(paths(world).initToken, `${token}\n`, { mode: 0o600 });
}

export async function exchangeInitToken(world: World): Promise<void> {
  dropInitToken(world);
  await world.run("renew-token", tokenArgs(world));
  world.relay.reset();
}

export const tokenArgs = (world: World) => ["--config-path", paths(world).config];
export const issueArgs = (world: World, ...more: string[]) => [
  ...tokenArgs(world),
  ...more,
  signPath,
  "kubelet",
  paths(world).certificate,
];
