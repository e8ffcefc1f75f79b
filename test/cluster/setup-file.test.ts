import { beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { type Cluster, defineCluster, hostRoles } from "../../lib/cluster/cluster.ts";
import { createCsr } from "../../lib/x509/csr.ts";
import { generateKey } from "../../lib/x509/key.ts";
import { chooseKeyType, defaultKeyType } from "../../lib/x509/key-type.ts";
import { relayedServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { type Api, ApiError, api, fields } from "./api.ts";
import { clusterFile, exampleFile } from "./file.ts";
import { readObjects, storedTokens, wantedObjects } from "./objects.ts";
import { clientOf, prepareRoles, run, storeServiceAccountKey } from "./run.ts";

const { server, relay } = await relayedServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(relay.address, server.rootToken);
const file = clusterFile(exampleFile.replace('"demo"', '"filed"'));

/** A host token of a role, made like a host makes it. */
async function hostOf({ id }: Cluster, role: string): Promise<Api> {
  const init = admin.as(String((await storedTokens(admin, id))[role]));
  const { auth } = await init.write(`auth/token/create/${id}-${role}`, {});
  return admin.as(String(fields(auth).client_token));
}

interface Asked {
  readonly name: string;
  readonly hosts?: readonly string[];
  readonly ips?: readonly string[];
  readonly key?: string;
  readonly bits?: string;
}

/** @returns the certificate, or else the server's error */
async function sign(by: Api, path: string, asked: Asked): Promise<X509Certificate | string> {
  const [dnsNames, ipAddresses] = [asked.hosts ?? [], asked.ips ?? []];
  const key = await generateKey(chooseKeyType(asked.key, asked.bits) ?? defaultKeyType);
  const csr = createCsr(key, { commonName: asked.name, organisations: [], dnsNames, ipAddresses });
  try {
    const { data } = await by.write(path, {
      csr,
      common_name: asked.name,
      alt_names: dnsNames.join(","),
      ip_sans: ipAddresses.join(","),
    });
    return new X509Certificate(String(fields(data).certificate));
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

async function mountsAndRoles(
  cluster: Cluster,
  choice: Parameters<typeof run>[3] = {},
): Promise<readonly string[]> {
  const mounts = await run("setup-mounts", client, cluster, choice);
  await storeServiceAccountKey(admin, cluster);
  return [...mounts, ...(await run("write-roles", client, cluster, choice))];
}

/** Expects the whole cluster to be as without a file. */
async function expectGolden({ id }: Cluster): Promise<void> {
  const wanted = wantedObjects(id, await storedTokens(admin, id));
  expect(await readObjects(admin, id, wanted)).toEqual(wanted);
}

const cluster = defineCluster("filed");
const kubelet = "filed/pki/k8s/sign/kubelet";
const node = { name: "system:node:a.nodes.example.com", hosts: ["a.nodes.example.com"] };

describe("a cluster that is given a file", () => {
  let changes: readonly string[];
  let hosts: Readonly<Record<string, Api>>;
  const before: Array<X509Certificate | string> = [];
  beforeAll(async () => {
    await mountsAndRoles(cluster);
    hosts = Object.fromEntries(
      await Promise.all(hostRoles.map(async (role) => [role, await hostOf(cluster, role)] as const)),
    );
    const worker = hosts.worker ?? admin;
    before.push(
      await sign(worker, kubelet, node),
      await sign(worker, kubelet, { name: "kubelet", ips: ["10.0.0.1"] }),
    );
    changes = await mountsAndRoles(cluster, { file });
  }, 60_000);

  test("changes only the differences", () => {
    expect(changes).toEqual([
      "create cluster file filed/secrets/cluster-file-mounts",
      ...["etcd-k8s", "etcd-overlay", "k8s", "k8s-api-proxy"].map((name) => `update mount filed/pki/${name}`),
      "create cluster file filed/secrets/cluster-file-roles",
      ...changes.filter((it) => it.startsWith("update PKI role")),
      "create PKI role filed/pki/k8s/roles/ingress",
      "update policy filed/etcd",
      "update policy filed/worker",
    ]);
    expect(changes.filter((it) => it.startsWith("update PKI role"))).toHaveLength(11);
  });

  test("does not change when it is given again, or none is", async () => {
    for (const choice of [{ file }, {}]) {
      relay.reset();
      expect(await mountsAndRoles(cluster, choice)).toEqual([]);
      expect(relay.writes().filter(({ path }) => path !== "auth/token/renew-self")).toEqual([]);
    }
  });

  test("lets kubelets have more names, and addresses", async () => {
    expect(before).toEqual([
      expect.stringContaining("not allowed by this role"),
      expect.stringContaining("IP Subject Alternative Names are not allowed"),
    ]);
    const signed = await sign(hosts.worker ?? admin, kubelet, { ...node, ips: ["10.0.0.1"] });
    expect(signed).toMatchObject({
      subject: "O=system:nodes\nCN=system:node:a.nodes.example.com",
      subjectAltName: expect.stringContaining("DNS:a.nodes.example.com, IP Address:10.0.0.1"),
    });
    expect(await sign(admin, kubelet, { ...node, hosts: ["a.other.example.com"] })).toContain("not allowed");
    expect(await sign(admin, kubelet, { name: "system:node:ip-1.ec2.internal" })).toBeInstanceOf(
      X509Certificate,
    );
  });

  test("has a further role that signs only for the hosts that it names", async () => {
    const path = "filed/pki/k8s/sign/ingress";
    const names = { name: "ingress.example.com", hosts: ["a.ingress.example.com"] };
    for (const [role, host] of Object.entries(hosts)) {
      const signed = await sign(host, path, names);
      if (role === "etcd") expect(signed).toContain("403");
      else expect(signed).toMatchObject({ subject: "CN=ingress.example.com" });
    }
    const refused: ReadonlyArray<Partial<Asked>> = [
      { name: "example.com" },
      { hosts: ["other.example.com"] },
      { ips: ["10.0.0.1"] },
      { hosts: ["localhost"] },
      { hosts: ["*.ingress.example.com"] },
    ];
    for (const other of refused) expect(await sign(admin, path, { ...names, ...other })).toContain("400");
    const signed = await sign(admin, path, names);
    if (typeof signed === "string") throw new Error(signed);
    expect((Date.parse(signed.validTo) - Date.parse(signed.validFrom)) / 86_400_000).toBeCloseTo(7, 1);
  });

  test("lets hosts do only what a rule grants", async () => {
    await admin.write("filed/secrets/registry", { password: "x" });
    for (const role of ["etcd", "worker", "all", "master"]) {
      expect(await hosts[role]?.find("filed/secrets/registry")).toEqual({ password: "x" });
      await expect(hosts[role]?.write("filed/secrets/registry", { password: "y" })).rejects.toThrow("403");
    }
  });

  test("does not let hosts read the stored file", async () => {
    for (const half of ["mounts", "roles"]) {
      const path = `filed/secrets/cluster-file-${half}`;
      expect(await admin.find(path)).toEqual({ ...file.parts[half === "mounts" ? "mounts" : "roles"] });
      for (const host of Object.values(hosts)) await expect(host.read(path)).rejects.toThrow("403");
    }
  });

  test("has every role sign only the chosen key type", async () => {
    const names: ReadonlyArray<readonly [string, string]> = [
      [kubelet, "system:node:ip-1.ec2.internal"],
      ["filed/pki/k8s/sign/admin", "admin"],
      ["filed/pki/k8s/sign/ingress", "ingress.example.com"],
      ["filed/pki/etcd-k8s/sign/server", "etcd-1"],
    ];
    for (const [path, name] of names) {
      expect(await sign(admin, path, { name, key: "rsa" })).toContain("role requires keys of type ec");
      expect(await sign(admin, path, { name, key: "ed25519" })).toContain("role requires keys of type ec");
      expect(await sign(admin, path, { name, key: "ec", bits: "521" })).toBeInstanceOf(X509Certificate);
    }
  });

  test("corrects changes by hand, with the file and without", async () => {
    const role = "filed/pki/k8s/roles/kubelet";
    const wanted = await admin.find(role);
    for (const choice of [{ file }, {}]) {
      await admin.write(role, { ...wanted, allowed_domains: ["*.else"] });
      await admin.remove("filed/pki/k8s/roles/ingress");
      expect(await run("write-roles", client, cluster, choice)).toEqual([
        `update PKI role ${role}`,
        "create PKI role filed/pki/k8s/roles/ingress",
      ]);
      expect(await admin.find(role)).toEqual(wanted);
    }
  });

  test("keeps existing CAs with their key type", async () => {
    const [issuer = ""] = await admin.list("filed/pki/k8s/issuers");
    const { certificate } = await admin.find(`filed/pki/k8s/issuer/${issuer}`);
    expect(new X509Certificate(String(certificate)).publicKey.asymmetricKeyType).toBe("rsa");
  });

  test("loses the roles and rules that another file lacks", async () => {
    const less = clusterFile(
      exampleFile.replace('"demo"', '"filed"').replace(/\[\[pki_roles\]\].*?(?=\[\[)/s, ""),
    );
    expect(await run("write-roles", client, cluster, { file: less })).toEqual([
      "delete PKI role filed/pki/k8s/roles/ingress",
      "update cluster file filed/secrets/cluster-file-roles",
      "update policy filed/worker",
    ]);
    expect(await admin.list("filed/pki/k8s/roles")).not.toContain("ingress");
    expect(await run("write-roles", client, cluster)).toEqual([]);
    await run("write-roles", client, cluster, { file });
  });

  test("is like one that never had it after --narrow", async () => {
    const done = [
      ...(await run("setup-mounts", client, cluster, { narrow: true })),
      ...(await run("write-roles", client, cluster, { narrow: true })),
    ];
    expect(done).toContain("delete cluster file filed/secrets/cluster-file-mounts");
    expect(done.slice(5, 7)).toEqual([
      "delete PKI role filed/pki/k8s/roles/ingress",
      "delete cluster file filed/secrets/cluster-file-roles",
    ]);
    await admin.remove("filed/secrets/registry");
    await expectGolden(cluster);
    expect(await mountsAndRoles(cluster, { narrow: true })).toEqual([]);
    expect(await mountsAndRoles(cluster)).toEqual([]);
  });
});

describe("a new cluster with a file", () => {
  test.each([
    ["ec", "ca_key_bits = 384", { namedCurve: "secp384r1" }],
    ["rsa", "ca_key_bits = 3072", { modulusLength: 3072 }],
    ["ed25519", "", {}],
  ])("has CAs with keys of type %s", async (type, bits, details) => {
    const its = defineCluster(`ca-${type}`);
    await run("setup-mounts", client, its, { file: clusterFile(`ca_key_type = "${type}"\n${bits}`) });
    const [issuer = ""] = await admin.list(`${its.id}/pki/etcd-k8s/issuers`);
    const { certificate } = await admin.find(`${its.id}/pki/etcd-k8s/issuer/${issuer}`);
    const { publicKey } = new X509Certificate(String(certificate));
    expect(publicKey.asymmetricKeyType).toBe(type === "ec" ? "ec" : type === "rsa" ? "rsa" : "ed25519");
    expect(publicKey.asymmetricKeyDetails).toMatchObject(details);
  });

  test.each([
    ["any", ""],
    ["rsa", ""],
    ["rsa", "key_bits = 4096"],
    ["ec", "key_bits = 521"],
    ["ed25519", ""],
  ])("is complete after one run with key_type %s %s", async (type, bits) => {
    const its = defineCluster(`keys-${type}-${bits.replace(/\D/g, "")}x`);
    await prepareRoles(admin, its);
    const choice = { file: clusterFile(`key_type = "${type}"\n${bits}`) };
    await run("write-roles", client, its, choice);
    expect(await run("write-roles", client, its, choice)).toEqual([]);
    expect(await run("write-roles", client, its)).toEqual([]);
  });

  test("stores only the half's part of the file, and nothing if that is empty", async () => {
    const its = defineCluster("half");
    const choice = { file: clusterFile("kubelet_ip_sans = true") };
    expect((await mountsAndRoles(its, choice)).filter((it) => it.includes("cluster file"))).toEqual([
      "create cluster file half/secrets/cluster-file-roles",
    ]);
    expect(await admin.read("half/secrets/cluster-file-mounts")).toBeUndefined();
    // An empty file takes back what it gave.
    expect(await run("write-roles", client, its, { file: clusterFile("") })).toEqual([
      "delete cluster file half/secrets/cluster-file-roles",
      "update PKI role half/pki/k8s/roles/kubelet",
    ]);
    await expectGolden(its);
  });
});

describe("the stored file of a cluster", () => {
  const its = defineCluster("spoilt");
  beforeAll(async () => {
    await prepareRoles(admin, its);
  });

  test.each([
    [{ surplus: 1 }, "surplus is not a field of a cluster file"],
    [{ "\u001b[2J": 1 }, '"\\u001b[2J" is not a field of a cluster file'],
    [
      { pki_roles: [{ mount: "k8s", name: "kubelet" }] },
      "pki_roles[0].name can't be kubelet: that role is built into k8s",
    ],
  ])("stops every run before anything is changed if it is %j", async (values, words) => {
    await admin.write("spoilt/secrets/cluster-file-roles", values);
    for (const choice of [{}, { narrow: true }, { file: clusterFile("") }]) {
      relay.reset();
      const { kind, message, hint } = await failureOf(() => run("write-roles", client, its, choice));
      expect({ kind, message }).toEqual({
        kind: "config",
        message: `secret spoilt/secrets/cluster-file-roles: ${words}`,
      });
      expect(hint).toBe("nothing was changed; fix that secret, or remove it and give --config");
      expect(relay.writes()).toEqual([]);
    }
    await admin.remove("spoilt/secrets/cluster-file-roles");
  });

  test("is read once in each half, and not at all if the mount is missing", async () => {
    relay.reset();
    await run("write-roles", client, its);
    const asked = () => relay.passed.filter(({ path }) => path.includes("cluster-file"));
    expect(asked()).toEqual([{ method: "GET", path: "spoilt/secrets/cluster-file-roles" }]);
    relay.reset();
    await run("setup-mounts", client, defineCluster("unmade"));
    expect(asked()).toEqual([]);
  });
});

describe("a stored file of an earlier version, whose kubelet_domains match the control plane", () => {
  const wide = { kubelet_domains: ["s*"], pki_roles: [{ mount: "k8s", name: "old", allow_any_name: true }] };
  const stored = "wide/secrets/cluster-file-roles";
  const its = defineCluster("wide");
  const path = "wide/pki/k8s/sign/kubelet";
  const names = ["system:kube-controller-manager", "system:kube-scheduler", "sub.domain"];
  let worker: Api;
  const signed = async () => {
    const answers = await Promise.all(names.map(async (name) => sign(worker, path, { name })));
    return names.filter((_, index) => answers[index] instanceof X509Certificate);
  };
  const widen = async () => {
    const role = await admin.find("wide/pki/k8s/roles/kubelet");
    const domains = [role.allowed_domains, "s*"].flat();
    await admin.write("wide/pki/k8s/roles/kubelet", { ...role, allowed_domains: domains });
    await admin.write("wide/pki/k8s/roles/old", { allow_any_name: true });
    await admin.write(stored, wide);
  };
  beforeAll(async () => {
    await mountsAndRoles(its);
    worker = await hostOf(its, "worker");
  });

  test("stops a run without a file before it changes anything, and says what to do", async () => {
    await widen();
    expect(await signed()).toEqual(names);
    relay.reset();
    const { kind, message, hint } = await failureOf(() => run("write-roles", client, its));
    expect({ kind, message, hint }).toEqual({
      kind: "config",
      message:
        `secret ${stored}: kubelet_domains has "s*", which allows system:kube-controller-manager, a name of the ` +
        "control plane: write it like *.nodes.example.com",
      hint: "nothing was changed; give --config with a correct file, or --narrow",
    });
    expect(relay.writes()).toEqual([]);
  });

  test.each([
    ["another file", { file: clusterFile('kubelet_domains = ["*.domain"]') }, ["sub.domain"]],
    ["none with --narrow", { narrow: true }, []],
  ])("does not stop %s", async (_, choice, left) => {
    await widen();
    expect(await signed()).toEqual(names);
    const done = await run("write-roles", client, its, choice);
    expect(done).toContain("update PKI role wide/pki/k8s/roles/kubelet");
    expect(done).toContain("delete PKI role wide/pki/k8s/roles/old");
    expect(await signed()).toEqual(left);
    expect(await run("write-roles", client, its)).toEqual([]);
  });
});

describe("valid kubelet_domains", () => {
  const its = defineCluster("hosts");
  beforeAll(async () => {
    await mountsAndRoles(its);
  });

  test.each([
    ["*.nodes.example.com", "a.nodes.example.com"],
    ["node-*.example.com", "node-1.example.com"],
    ["node-1", "node-1"],
    ["*a.b", "xa.b"],
    ["kube-*.io", "kube-1.io"],
    ["k*.default.example.com", "k1.default.example.com"],
  ])("with %s let a worker have the name %s, but none of the control plane", async (domain, name) => {
    await run("write-roles", client, its, { file: clusterFile(`kubelet_domains = ["${domain}"]`) });
    const worker = await hostOf(its, "worker");
    const path = "hosts/pki/k8s/sign/kubelet";
    expect(await sign(worker, path, { name, hosts: [name] })).toBeInstanceOf(X509Certificate);
    const others = [
      ...["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:apiserver"],
      ...["system:serviceaccount:kube-system:namespace-controller", "system:masters", "kubernetes-admin"],
      ...["admin", "kube-apiserver", "front-proxy-client", "localhost", "kubernetes", "kubernetes.default"],
      ...["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "web.default.svc", "*.default"],
      ...["*.svc", "*.svc.cluster.local", "*", "a@kubernetes.default"],
    ];
    for (const other of others) {
      expect([other, await sign(worker, path, { name: other })]).toEqual([
        other,
        expect.stringContaining("not allowed"),
      ]);
      const beside = await sign(worker, path, { name, hosts: [other] });
      if (typeof beside === "string") expect(beside).toContain("not allowed");
      else expect(beside.subjectAltName).toBe(`DNS:${name}`);
    }
  });
});
