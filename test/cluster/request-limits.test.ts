import { beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { withFile } from "../../lib/cluster/cluster-file.ts";
import { devServer } from "../support/dev-server.ts";
import { openssl, opensslEcKey } from "../support/openssl.ts";
import { type Api, ApiError, api, fields } from "./api.ts";
import { clusterFile } from "./file.ts";
import { storedTokens } from "./objects.ts";
import { clientOf, run, storeServiceAccountKey } from "./run.ts";

const { server } = await devServer();
const admin = api(server.address, server.rootToken);
const client = clientOf(server.address, server.rootToken);

/** Rules of a cluster file that allow signing, written in every possible way. */
const file = clusterFile(`
[[pki_roles]]
mount = "k8s"
name = "ingress"
hosts = ["worker"]
allowed_domains = ["ingress.example.com"]
allow_bare_domains = true
key_type = "ec"

[[policy_rules]]
hosts = ["worker"]
path = "pki/k8s/issue/ingress"
capabilities = ["update"]

[[policy_rules]]
hosts = ["worker"]
path = "own/sign/any"
capabilities = ["create", "update"]

[[policy_rules]]
hosts = ["worker"]
path = "own/issuer/*"
capabilities = ["update"]

[[policy_rules]]
hosts = ["worker", "etcd"]
path = "pki/k8s/sign/kubelet"
capabilities = ["update"]

[[policy_rules]]
hosts = ["worker"]
path = "secrets/app/*"
capabilities = ["create", "read", "update"]
`);
const plain = defineCluster("plain");
const filed = withFile(defineCluster("filed"), file);

const key = opensslEcKey("P-256");
const subject = (text: string, ...more: readonly string[]) =>
  openssl(["req", "-new", "-key", "/dev/stdin", "-subj", text, ...more], key);
const csr = subject("/CN=whoever");

const hosts: Record<string, Api> = {};
beforeAll(async () => {
  for (const cluster of [plain, filed]) {
    await run("setup-mounts", client, cluster);
    await storeServiceAccountKey(admin, cluster);
    await run("write-roles", client, cluster, cluster === filed ? { file } : {});
    for (const [role, token] of Object.entries(await storedTokens(admin, cluster.id))) {
      const { auth } = await admin.as(token).write(`auth/token/create/${cluster.id}-${role}`, {});
      hosts[`${cluster.id} ${role}`] = admin.as(String(fields(auth).client_token));
    }
  }
  // An admin's own CA below the cluster's path.
  await admin.write("sys/mounts/filed/own", { type: "pki", config: { max_lease_ttl: "200000h" } });
  await admin.write("filed/own/root/generate/internal", { common_name: "own", ttl: "200000h" });
  await admin.write("filed/own/roles/any", { allow_any_name: true, key_type: "any", max_ttl: "720h" });
}, 60_000);

function host(name: string): Api {
  const found = hosts[name];
  if (found === undefined) throw new Error(`no host ${name}`);
  return found;
}

/** The server's answer to a body that is sent as it is: the certificate, or else the status. */
async function post(by: Api, path: string, init: RequestInit): Promise<X509Certificate | number> {
  const headers = { ...Object(init.headers), "X-Vault-Token": by.token };
  const response = await fetch(`${by.address}/v1/${path}`, { method: "POST", ...init, headers });
  const text = await response.text();
  const certificate = response.ok ? JSON.parse(text).data?.certificate : undefined;
  return certificate === undefined ? response.status : new X509Certificate(certificate);
}

const json = (body: object) => ({ body: JSON.stringify(body) });

async function status(asked: Promise<unknown>): Promise<number> {
  try {
    await asked;
    return 200;
  } catch (error) {
    if (error instanceof ApiError) return error.status;
    throw error;
  }
}

function days({ validFrom, validTo }: X509Certificate): number {
  return (Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000;
}

/** The parameters of an endpoint, as the server describes it. */
async function parametersOf(path: string): Promise<readonly string[]> {
  const { openapi } = (await helpOf(path)) ?? {};
  const schemas = Object.entries(Object(Object(openapi).components).schemas);
  const request = schemas.find(([name]) => name.endsWith("Request"))?.[1];
  return Object.keys(Object(request).properties);
}

async function helpOf(path: string): Promise<Readonly<Record<string, unknown>>> {
  const headers = { "X-Vault-Token": admin.token };
  const answer: unknown = await (await fetch(`${admin.address}/v1/${path}?help=1`, { headers })).json();
  return Object(answer);
}

const far = "2040-01-01T00:00:00Z";
const kubelet = "plain/pki/k8s/sign/kubelet";
const body = { csr, common_name: "kubelet" };

describe("the end of a certificate's validity", () => {
  test("can be beyond the role's limit with not_after, which only an admin may send", async () => {
    const signed = await post(admin, kubelet, json({ ...body, not_after: far }));
    expect(signed).toMatchObject({ validTo: "Jan  1 00:00:00 2040 GMT" });
  });

  test.each([
    ["worker", kubelet, "kubelet"],
    ["master", kubelet, "kubelet"],
    ["master", "plain/pki/k8s/sign/admin", "admin"],
    ["master", "plain/pki/k8s/sign/kube-apiserver", "api.example.com"],
    ["master", "plain/pki/k8s-api-proxy/sign/kube-apiserver", "kube-apiserver-proxy"],
    ["worker", "plain/pki/etcd-overlay/sign/client", "client"],
    ["etcd", "plain/pki/etcd-k8s/sign/server", "etcd-1"],
    ["all", "plain/pki/k8s/sign/admin", "admin"],
  ])("can't be set by the token of %s at %s", async (role, path, name) => {
    const by = host(`plain ${role}`);
    expect(await post(by, path, json({ csr, common_name: name, not_after: far }))).toBe(403);
    const longest = name === "admin" ? 365 : 30;
    for (const more of [{}, { ttl: "99999h" }, { ttl: "1h" }]) {
      const signed = await post(by, path, json({ csr, common_name: name, ...more }));
      if (typeof signed === "number") throw new Error(`refused, too: ${signed}`);
      expect(days(signed)).toBeCloseTo(more.ttl === "1h" ? 1 / 24 : longest, 1);
    }
  });

  const form = new URLSearchParams({ ...body, not_after: far });
  const bare = new URLSearchParams(body);
  test.each<[string, string, RequestInit]>([
    ["a form", kubelet, { body: form }],
    ["a form with the parameter twice", kubelet, { body: `${form}&not_after=${far}` }],
    [
      "a form with the content type of JSON",
      kubelet,
      { body: `${form}`, headers: { "Content-Type": "text/json" } },
    ],
    ["NOT_AFTER", kubelet, json({ ...body, NOT_AFTER: far })],
    ["Not_After in a form", kubelet, { body: `${bare}&Not_After=${far}` }],
    ["the query", `${kubelet}?not_after=${far}`, json(body)],
    ["the query, beside a form", `${kubelet}?not_after=${far}`, { body: bare }],
    [
      "JSON with the parameter twice",
      kubelet,
      { body: `{"not_after":"","not_after":"${far}",${json(body).body.slice(1)}` },
    ],
    ["an object around it", kubelet, json({ ...body, data: { not_after: far } })],
    ["PUT", kubelet, { method: "PUT", ...json({ ...body, not_after: far }) }],
    [
      "PATCH",
      kubelet,
      {
        method: "PATCH",
        ...json({ ...body, not_after: far }),
        headers: { "Content-Type": "application/merge-patch+json" },
      },
    ],
    [
      "a wrapped answer",
      kubelet,
      { ...json({ ...body, not_after: far }), headers: { "X-Vault-Wrap-TTL": "60s" } },
    ],
    ["a slash at the end", `${kubelet}/`, json({ ...body, not_after: far })],
    ["two slashes", kubelet.replace("/sign/", "/sign//"), json({ ...body, not_after: far })],
    ["dots", kubelet.replace("/sign/", "/sign/../sign/"), json({ ...body, not_after: far })],
    ["an encoded slash", kubelet.replace("/sign/", "/sign%2F"), json({ ...body, not_after: far })],
    [
      "its issuer's path",
      kubelet.replace("/sign/", "/issuer/default/sign/"),
      json({ ...body, not_after: far }),
    ],
    ["sign-verbatim", kubelet.replace("/sign/", "/sign-verbatim/"), json({ ...body, not_after: far })],
    ["issue", kubelet.replace("/sign/", "/issue/"), json({ ...body, not_after: far })],
    ["cel", kubelet.replace("/sign/", "/cel/sign/"), json({ ...body, not_after: far })],
  ])("can't be set by way of %s", async (_, path, init) => {
    for (const role of ["worker", "master", "all"]) {
      const signed = await post(host(`plain ${role}`), path, init);
      if (typeof signed === "number") expect(signed).toBeGreaterThanOrEqual(400);
      else expect(days(signed)).toBeLessThan(30.1);
    }
  });

  test("can't be set by a token with a second policy whose rule has no limit", async () => {
    await admin.write("sys/policies/acl/beside", {
      policy: `path "${kubelet}" { capabilities = ["create", "update"] }
        path "plain/pki/k8s/*" { capabilities = ["read", "update"] }`,
    });
    const policies = ["beside", "plain/worker", "plain/master"];
    const { auth } = await admin.write("auth/token/create", { policies });
    const by = admin.as(String(fields(auth).client_token));
    expect(await post(by, kubelet, json({ ...body, not_after: far }))).toBe(403);
    expect(await post(by, kubelet, json(body))).toBeInstanceOf(X509Certificate);
    // With the other policy alone, the same attack works.
    const proxy = "plain/pki/k8s/issuer/default/sign/kubelet";
    expect(await post(by, proxy, json({ ...body, not_after: far }))).toBeInstanceOf(X509Certificate);
  });
});

describe("a sign request", () => {
  const taken = ["csr", "common_name", "alt_names", "ip_sans", "ttl"];

  test("may have only five of the server's parameters", async () => {
    const names = await parametersOf(kubelet);
    expect(names).toEqual(expect.arrayContaining([...taken, "not_after", "format", "uri_sans"]));
    for (const role of ["worker", "master"]) {
      for (const name of [...names, "key_usage", "signature_bits", "use_pss", "not_before"]) {
        const asked = post(host(`plain ${role}`), kubelet, json({ ...body, [name]: "" }));
        if (!taken.includes(name)) expect([name, await asked]).toEqual([name, 403]);
        else expect([name, await asked]).not.toEqual([name, 403]);
      }
    }
  });

  // This also holds for rules of a cluster file, which refuse only not_after.
  test.each([
    ["uri_sans", "spiffe://a/b", 400],
    ["other_sans", "1.3.6.1.4.1.311.20.2.3;UTF8:admin", 400],
    ["serial_number", "1", 400],
    ["user_ids", "admin", 400],
    ["ip_sans", "10.0.0.1", 400],
    ["alt_names", "kubernetes.default", 400],
    ["common_name", "admin", 400],
    ["exclude_cn_from_sans", true, 200],
    ["private_key_format", "pkcs8", 200],
    ["remove_roots_from_chain", true, 200],
    ["format", "pem_bundle", 200],
    ["issuer_ref", "other", 200],
    ["key_usage", ["CertSign"], 200],
    ["ext_key_usage", ["CodeSigning"], 200],
    ["signature_bits", 512, 200],
    ["use_pss", true, 200],
    ["organization", "system:masters", 200],
    ["basic_constraints_valid_for_non_ca", true, 200],
    ["max_path_length", 1, 200],
    ["not_before_duration", 999999, 200],
  ])("with %s is refused by the role, or not affected by it", async (name, value, code) => {
    const signed = await post(admin, kubelet, json({ ...body, [name]: value }));
    if (code !== 200) return expect(signed).toBe(code);
    if (typeof signed === "number") throw new Error(`refused: ${signed}`);
    const { subject: its, ca, keyUsage } = signed;
    expect({ its, ca, keyUsage, days: days(signed).toFixed(1) }).toEqual({
      its: "O=system:nodes\nCN=kubelet",
      ca: false,
      keyUsage: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
      days: "30.0",
    });
  });

  test("of the Go tool is signed: JSON with four parameters", async () => {
    const goTool = { csr, common_name: "kubelet", alt_names: "kubelet,system:node:a", ip_sans: "" };
    const signed = await post(host("plain worker"), kubelet, json(goTool));
    expect(signed).toMatchObject({ subject: "O=system:nodes\nCN=kubelet" });
  });

  const worker = "/CN=kubelet/O=system:masters/OU=admins";
  const proxy = "plain/pki/k8s/sign/kube-proxy";
  const san = (...names: readonly string[]) => ["-addext", `subjectAltName=${names.join(",")}`];

  test("gets no organization, usage or CA from the CSR", async () => {
    const asked = subject(
      worker,
      ...["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign"],
      ...["-addext", "extendedKeyUsage=codeSigning,emailProtection,1.3.6.1.4.1.311.20.2.2"],
    );
    // The CSR really asks for them.
    const read = openssl(["req", "-noout", "-text"], asked);
    for (const words of ["system:masters", "CA:TRUE", "Code Signing"]) expect(read).toContain(words);
    const signed = await post(host("plain worker"), kubelet, json({ ...body, csr: asked }));
    if (typeof signed === "number") throw new Error(`refused: ${signed}`);
    expect(signed.subject).toBe("O=system:nodes\nCN=kubelet");
    expect(signed.ca).toBe(false);
    expect(signed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    const text = openssl(["x509", "-noout", "-text"], signed.toString());
    expect(text).not.toContain("Certificate Sign");
  });

  test("gets no name from the CSR unless the role allows that", async () => {
    const asked = subject("/CN=system:kube-scheduler", ...san("DNS:kubernetes.default", "IP:10.0.0.1"));
    const signed = await post(host("plain worker"), kubelet, json({ ...body, csr: asked }));
    expect(signed).toMatchObject({ subject: "O=system:nodes\nCN=kubelet" });
    expect(Object(signed).subjectAltName).toBe("DNS:kubelet");
  });

  test.each([
    ["another name", ["DNS:kubernetes.default"]],
    ["a wildcard", ["DNS:*.kube-proxy"]],
    ["a URI", ["URI:spiffe://cluster.local/ns/kube-system/sa/admin"]],
    ["an e-mail address elsewhere", ["email:a@example.com"]],
    ["a name of another type", ["otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin"]],
  ])("does not get %s from the CSR, even if the role takes names from it", async (_, names) => {
    const ask = (asked: string) =>
      post(host("plain worker"), proxy, json({ csr: asked, common_name: "system:kube-proxy" }));
    expect(await ask(subject("/CN=x", ...san(...names)))).toBe(400);
    const signed = await ask(subject("/CN=x", ...san("DNS:kube-proxy")));
    expect(signed).toMatchObject({ subject: "CN=system:kube-proxy", keyUsage: ["1.3.6.1.5.5.7.3.2"] });
  });

  test.each([
    ["serial number", "/CN=kubelet/serialNumber=1"],
    ["user id", "/CN=kubelet/UID=admin"],
  ])("gets no %s from the CSR's subject", async (_, text) => {
    expect(await post(host("plain worker"), kubelet, json({ ...body, csr: subject(text) }))).toBe(400);
  });

  test.each([
    "system:masters",
    "system:kube-scheduler",
    "admin",
    "x@system:kube-proxy",
    "*",
    "*.default",
    "kubelet,kubernetes.default",
    "system:node\u0000",
    "SYSTEM:KUBE-SCHEDULER",
  ])("for the name %j is refused to a worker, as common name and as SAN", async (name) => {
    const by = host("plain worker");
    expect(await post(by, kubelet, json({ csr, common_name: name }))).toBe(400);
    const beside = await post(by, kubelet, json({ ...body, alt_names: name }));
    if (beside instanceof X509Certificate) expect(beside.subjectAltName).toBe("DNS:kubelet");
  });
});

describe("rules of a cluster file that allow signing", () => {
  const ingress = { csr, common_name: "ingress.example.com" };
  const any = { csr, common_name: "any.example.com" };
  test.each([
    [
      "pki/k8s/sign/ingress",
      ingress,
      { format: "pem_bundle", exclude_cn_from_sans: true, private_key_format: "pkcs8" },
    ],
    ["pki/k8s/issue/ingress", ingress, { private_key_format: "pkcs8", remove_roots_from_chain: true }],
    ["own/sign/any", any, { format: "pem_bundle", user_ids: "" }],
    ["own/issuer/default/sign/any", any, { exclude_cn_from_sans: true }],
  ])("refuse not_after at %s, and nothing else", async (path, asked, more) => {
    const by = host("filed worker");
    const late = { ...asked, not_after: far };
    expect(await post(admin, `filed/${path}`, json(late))).toMatchObject({
      validTo: "Jan  1 00:00:00 2040 GMT",
    });
    expect(await post(by, `filed/${path}`, json(late))).toBe(403);
    expect(await post(by, `filed/${path}`, { body: new URLSearchParams(late) })).toBe(403);
    expect(await post(by, `filed/${path}`, json({ ...asked, ...more }))).toBeInstanceOf(X509Certificate);
  });

  test("widen no built-in rule, and allow not_after to no other host", async () => {
    const path = "filed/pki/k8s/sign/kubelet";
    for (const role of ["worker", "etcd", "master", "all"]) {
      const by = host(`filed ${role}`);
      expect(await post(by, path, json({ ...body, not_after: far }))).toBe(403);
      expect(await post(by, path, json(body))).toBeInstanceOf(X509Certificate);
    }
    expect(await post(host("filed worker"), path, json({ ...body, format: "pem" }))).toBe(403);
    expect(await post(host("filed etcd"), path, json({ ...body, format: "pem" }))).toBeInstanceOf(
      X509Certificate,
    );
  });

  test("do not affect secrets with a field of that name", async () => {
    await host("filed worker").write("filed/secrets/app/sign", { not_after: far });
    expect(await admin.find("filed/secrets/app/sign")).toEqual({ not_after: far });
  });
});

describe("an init token", () => {
  const create = "auth/token/create/plain-master";
  let init = admin;
  beforeAll(async () => {
    init = admin.as(String((await storedTokens(admin, "plain")).master));
  });

  test("may send a display name, a number of uses and metadata, like the Go tool", async () => {
    const asked = { display_name: "host-1", num_uses: 0, meta: { host: "host-1" } };
    const { auth } = await init.write(create, asked);
    expect(await admin.as(String(fields(auth).client_token)).find("auth/token/lookup-self")).toMatchObject({
      display_name: "token-host-1",
      meta: { host: "host-1" },
      type: "service",
      policies: ["default", "plain/master", "plain/worker"],
    });
  });

  test("may send no other parameter of the server", async () => {
    const names = await parametersOf(create);
    expect(names).toEqual(expect.arrayContaining(["type", "policies", "id", "meta", "entity_alias"]));
    for (const name of names) {
      const answer = await status(init.write(create, { [name]: name === "num_uses" ? 1 : "" }));
      expect([name, answer === 403]).toEqual([name, !["display_name", "num_uses", "meta"].includes(name)]);
    }
  });

  test.each<[string, RequestInit]>([
    ["JSON", json({ type: "batch" })],
    ["TYPE", json({ TYPE: "batch" })],
    ["a form", { body: new URLSearchParams({ type: "batch" }) }],
  ])("gets no batch token by %s", async (_, { body: asked }) => {
    const headers = { "X-Vault-Token": init.token };
    const answer = await fetch(`${init.address}/v1/${create}`, {
      method: "POST",
      headers,
      body: asked ?? null,
    });
    expect(answer.status).toBe(403);
  });

  test("would get a revocable token even if its policy let it ask for another", async () => {
    const { auth } = await admin.write(create, { type: "batch" });
    const { accessor, client_token: token, token_type: type } = fields(auth);
    expect({ type, accessor }).toEqual({ type: "service", accessor: expect.stringMatching(/./) });
    const by = admin.as(String(token));
    await by.find("plain/secrets/service-accounts");
    await admin.write("auth/token/revoke-accessor", { accessor });
    expect(await status(by.find("plain/secrets/service-accounts"))).toBe(403);
  });
});
