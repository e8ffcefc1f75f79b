import type { Api } from "./api.ts";

/** Enough certificates to keep the server busy with the mount's removal for a while. */
export async function makeCertificates(api: Api, mount: string, count: number): Promise<void> {
  await api.write(`${mount}/root/generate/internal`, { common_name: "CA", key_type: "ec", ttl: "72h" });
  await api.write(`${mount}/roles/hand`, { allow_any_name: true, key_type: "ec", ttl: "1h" });
  const issue = () => api.write(`${mount}/issue/hand`, { common_name: "x.example" });
  await Promise.all(Array.from({ length: count }, issue));
}

/**
 * Whether a mount whose removal was interrupted still exists. Vault leaves it half removed. OpenBao finishes the
 * removal although its client is gone.
 */
export async function leavesCutOffs(api: Api): Promise<boolean> {
  const mount = "cut-off/pki/k8s";
  const exists = async () => (await api.find("sys/mounts"))[`${mount}/`] !== undefined;
  do await beginRemoval(api, mount);
  while (!(await exists()));
  await Bun.sleep(1000);
  if (!(await exists())) return false;
  await api.write("sys/plugins/reload/backend", { mounts: [`${mount}/`] });
  await api.remove(`sys/mounts/${mount}`);
  return true;
}

/** Has the server begin to remove a PKI mount, and hangs up. */
export async function beginRemoval(api: Api, mount: string): Promise<void> {
  await api.write(`sys/mounts/${mount}`, { type: "pki" });
  await makeCertificates(api, mount, 12);
  const cut = new AbortController();
  const request = { method: "DELETE", headers: { "X-Vault-Token": api.token }, signal: cut.signal };
  const removal = fetch(`${api.address}/v1/sys/mounts/${mount}`, request).catch(() => {});
  // It has begun once the mount serves no request.
  for (let issuers = 1; issuers > 0; ) issuers = (await api.list(`${mount}/issuers`)).length;
  cut.abort();
  await removal;
}
