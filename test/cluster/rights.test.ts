import { beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { defineCluster, hostRoles } from "../../lib/cluster/cluster.ts";
import { createCsr } from "../../lib/x509/csr.ts";
import { generateKey } from "../../lib/x509/key.ts";
import { devServer } from "../support/dev-server.ts";
import { type Api, ApiError, api, fields } from "./api.ts";
import { storedTokens } from "./objects.ts";
import { clientOf, run, storeServiceAccountKey } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const cluster = defineCluster("rights");
const { id } = cluster;

/** Each sign path below the cluster's path, with a name that its role allows. */
const signPaths = {
  "pki/etcd-k8s/sign/client": "etcd-client",
  "pki/etcd-k8s/sign/server": "etcd-1.example",
  "pki/etcd-overlay/sign/client": "etcd-client",
  "pki/etcd-overlay/sign/server": "etcd-1.example",
  "pki/k8s/sign/admin": "admin",
  "pki/k8s/sign/kube-apiserver": "api.example",
  "pki/k8s/sign/kube-controller-manager": "system:kube-controller-manager",
  "pki/k8s/sign/kube-proxy": "system:kube-proxy",
  "pki/k8s/sign/kube-scheduler": "system:kube-scheduler",
  "pki/k8s/sign/kubelet": "system:node:ip-10-0-0-1.compute.internal",
  "pki/k8s-api-proxy/sign/kube-apiserver": "kube-apiserver-proxy",
} as const;
type SignPath = keyof typeof signPaths;

const worker: readonly SignPath[] = [
  "pki/etcd-overlay/sign/client",
  "pki/k8s/sign/kube-proxy",
  "pki/k8s/sign/kubelet",
];
const etcd: readonly SignPath[] = ["pki/etcd-k8s/sign/server", "pki/etcd-overlay/sign/server"];
const master: readonly SignPath[] = [
  ...worker,
  "pki/etcd-k8s/sign/client",
  "pki/k8s/sign/admin",
  "pki/k8s/sign/kube-apiserver",
  "pki/k8s/sign/kube-controller-manager",
  "pki/k8s/sign/kube-scheduler",
  "pki/k8s-api-proxy/sign/kube-apiserver",
];
const signs = { etcd, master, worker, all: [...etcd, ...master] };
const reads = {
  etcd: [],
  worker: [],
  master: ["service-accounts", "encryption-config"],
  all: ["service-accounts", "encryption-config"],
};

let hosts: Record<string, Api> = {};
let inits: Record<string, Api> = {};
let csrs: Record<string, string> = {};

beforeAll(async () => {
  const client = clientOf(server.address, server.rootToken);
  await run("setup-mounts", client, cluster);
  await storeServiceAccountKey(admin, cluster);
  await run("write-roles", client, cluster);
  const tokens = Object.entries(await storedTokens(admin, id));
  inits = Object.fromEntries(tokens.map(([role, token]) => [role, admin.as(token)]));
  hosts = Object.fromEntries(
    await Promise.all(hostRoles.map(async (role) => [role, admin.as(await exchange(role))] as const)),
  );
  const key = await generateKey({ type: "ec", bits: 256 });
  const names = { organisations: [], dnsNames: [], ipAddresses: [] };
  csrs = Object.fromEntries(
    Object.values(signPaths).map((commonName) => [commonName, createCsr(key, { ...names, commonName })]),
  );
}, 60_000);

/** Makes a token with an init token, like a host. */
async function exchange(role: string, by = role): Promise<string> {
  const { auth } = (await inits[by]?.write(`auth/token/create/${id}-${role}`, {})) ?? {};
  return String(fields(auth).client_token);
}

/** Whether the server allows a request. */
async function isAllowed(action: Promise<unknown> | undefined): Promise<boolean> {
  try {
    await action;
    return action !== undefined;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return false;
    throw error;
  }
}

async function allowedOf<T extends string>(
  names: readonly T[],
  act: (name: T) => Promise<unknown> | undefined,
): Promise<readonly T[]> {
  const answers = await Promise.all(names.map(async (name) => [name, await isAllowed(act(name))] as const));
  return answers.flatMap(([name, may]) => (may ? [name] : [])).sort();
}

const allSignPaths = Object.keys(signPaths).filter((path): path is SignPath => path in signPaths);
const sign = (path: SignPath) => ({ csr: csrs[signPaths[path]], common_name: signPaths[path] });

describe.each(hostRoles)("the token of a host of role %s", (role) => {
  test("has the policies and the period of its token role", async () => {
    const found = await hosts[role]?.find("auth/token/lookup-self");
    const policies =
      role === "all" ? ["etcd", "master", "worker"] : role === "master" ? ["master", "worker"] : [role];
    expect(found).toMatchObject({
      path: `auth/token/create/${id}-${role}/${id}/${role}`,
      policies: ["default", ...policies.map((name) => `${id}/${name}`)],
      orphan: true,
      renewable: true,
      creation_ttl: 157_680_000,
      role: `${id}-${role}`,
    });
  });

  test("gets certificates only from its roles", async () => {
    const may = await allowedOf(allSignPaths, (path) => hosts[role]?.write(`${id}/${path}`, sign(path)));
    expect(may).toEqual([...signs[role]].sort());
  });

  test("reads only its secrets", async () => {
    const may = await allowedOf(await admin.list(`${id}/secrets`), (name) =>
      hosts[role]?.find(`${id}/secrets/${name}`),
    );
    expect(may).toEqual([...reads[role]].sort());
  });

  test("can't make keys, roles, tokens or policies, or list mounts", async () => {
    const may = await allowedOf(
      [
        `${id}/pki/k8s/issue/kubelet`,
        `${id}/pki/k8s/roles/kubelet`,
        `${id}/pki/k8s/sign-verbatim`,
        `${id}/pki/k8s/root/generate/internal`,
        `${id}/secrets/service-accounts`,
        `auth/token/create/${id}-${role}`,
        "auth/token/create",
        `auth/token/roles/${id}-${role}`,
        `sys/policies/acl/${id}/${role}`,
        `sys/mounts/${id}/more`,
      ],
      (path) => hosts[role]?.write(path, {}),
    );
    expect(may).toEqual([]);
    expect(await isAllowed(hosts[role]?.find("sys/mounts"))).toBe(false);
  });
});

describe.each(hostRoles)("the init token of %s", (role) => {
  test("makes only tokens of its role", async () => {
    const may = await allowedOf(hostRoles, (other) => exchange(other, role));
    expect(may).toEqual([role]);
  });

  test("can't make a token with more policies", async () => {
    const more = { policies: [`${id}/master`, "root"] };
    const asked = inits[role]?.write(`auth/token/create/${id}-${role}`, more);
    await expect(asked).rejects.toThrow("403");
  });

  test("can't sign, and can't read secrets", async () => {
    expect(await allowedOf(allSignPaths, (path) => inits[role]?.write(`${id}/${path}`, sign(path)))).toEqual(
      [],
    );
    const secrets = await admin.list(`${id}/secrets`);
    expect(await allowedOf(secrets, (name) => inits[role]?.find(`${id}/secrets/${name}`))).toEqual([]);
  });
});

describe("a certificate", () => {
  const certificate = async (path: SignPath) => {
    const { data } = await admin.write(`${id}/${path}`, sign(path));
    return new X509Certificate(String(fields(data).certificate));
  };

  test("of admin is in system:masters and valid for a year", async () => {
    const { subject, validFrom, validTo } = await certificate("pki/k8s/sign/admin");
    expect(subject).toBe("O=system:masters\nCN=admin");
    expect((Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000).toBeCloseTo(365, 1);
  });

  test("of a kubelet is in system:nodes, valid for 30 days, and for server and client", async () => {
    const { subject, validFrom, validTo, keyUsage } = await certificate("pki/k8s/sign/kubelet");
    expect(subject).toBe("O=system:nodes\nCN=system:node:ip-10-0-0-1.compute.internal");
    expect((Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000).toBeCloseTo(30, 1);
    expect(keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  });

  test.each(["pki/k8s/sign/admin", "pki/k8s/sign/kubelet", "pki/k8s/sign/kube-proxy"] as const)(
    "with another name is refused by %s",
    async (path) => {
      const asked = admin.write(`${id}/${path}`, { ...sign(path), common_name: "somebody.example" });
      await expect(asked).rejects.toThrow("not allowed by this role");
    },
  );
});
