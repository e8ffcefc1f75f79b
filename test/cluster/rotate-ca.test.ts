import { describe, expect, test } from "bun:test";
import type { KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stepText } from "../../lib/cluster/ca-rotation.ts";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { readMountCas } from "../../lib/cluster/mount-cas.ts";
import type { WantedMount } from "../../lib/cluster/mounts.ts";
import { planRotation, type RotationWish } from "../../lib/cluster/rotate-ca.ts";
import { generateRoot } from "../../lib/vault/issuers.ts";
import { commonNameSubject, readCaFields } from "../../lib/x509/ca-fields.ts";
import { createAuthority, newCsr } from "../faults/authority.ts";
import { relayedServer } from "../support/dev-server.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl } from "../support/openssl.ts";
import { type Fault, isWrite, movedClock } from "../support/relay.ts";
import { api } from "./api.ts";
import { bareCluster, clusterWithCa, importOldCa, sign } from "./rotated.ts";
import { clientOf } from "./run.ts";

let fault: Fault | undefined;
const { server, relay } = await relayedServer((...request) => fault?.(...request));
const admin = api(server.address, server.rootToken);
const client = clientOf(relay.address, server.rootToken);

const renew: RotationWish = { renew: "certificate" };
const newKey: RotationWish = { renew: "key", key: undefined, again: false };
const again: RotationWish = { ...newKey, again: true };

async function rotate({ cluster, k8s }: { cluster: Cluster; k8s: WantedMount }, wish: RotationWish) {
  const steps: string[] = [];
  const plan = await planRotation(client, cluster, k8s, wish);
  const mount = await plan.apply(
    () => {},
    (step) => steps.push(stepText(step).replace(/\d{4}-\d\d-\d\d/, "DAY")),
  );
  expect(steps).toEqual(plan.steps.map((step) => stepText(step).replace(/\d{4}-\d\d-\d\d/, "DAY")));
  return { steps, mount };
}

const threeSteps = (next: string, before: string) => [
  `add issuer ${next}: a new CA with a new key`,
  `add issuer ${next}-by-${before}: a cross certificate, signed by ${before} until DAY`,
  `make issuer ${next} the default`,
];

describe("a rotation to a new key", () => {
  test("adds a CA, has it certified by the one before, then makes it the default", async () => {
    const made = await clusterWithCa(admin, "next");
    const { steps, mount } = await rotate(made, newKey);
    expect(steps).toEqual(threeSteps("g2", "g1"));
    const { cas, signing, issuers } = mount;
    expect(cas.map(({ name }) => name)).toEqual(["g1", "g2"]);
    expect([signing?.name, mount.default?.name]).toEqual(["g2", "g2"]);
    const cross = issuers.find(({ name }) => name === "g2-by-g1");
    expect([cross?.mayIssue, cross?.keyId]).toEqual([false, signing?.keyId ?? ""]);
    expect(cross?.x509.verify(cas[0]?.roots[0]?.x509.publicKey as KeyObject)).toBe(true);
    expect(cross?.notAfter).toEqual(cas[0]?.roots[0]?.notAfter ?? new Date(0));
    // Go's verifier takes CAs of one subject for the same one.
    expect(new Set(issuers.map(({ x509 }) => x509.subject)).size).toBe(1);
  });

  test.each([renew, newKey])("keeps a name with special characters: %j", async (wish) => {
    const commonName = 'Example, Inc. "k8s" + CA; <1>';
    const made = await bareCluster(admin, `special-${wish.renew}`);
    await generateRoot(client, made.path, { commonName, ttlSeconds: 86_400 });
    const { issuers } = (await rotate(made, wish)).mount;
    const [first, ...more] = issuers.map(({ x509 }) => Buffer.from(readCaFields(x509.raw).subject));
    expect(first).toEqual(Buffer.from(commonNameSubject(commonName)));
    expect(more).toEqual(Array(wish.renew === "key" ? 2 : 1).fill(first));
  });

  test("goes on after a stop in which the server made the key alone", async () => {
    const made = await clusterWithCa(admin, "keyonly");
    await admin.write(`${made.path}/keys/generate/internal`, { key_type: "ec", key_name: "g2-new" });
    const { mount } = await rotate(made, newKey);
    expect(mount.signing?.name).toBe("g2");
    expect((await admin.list(`${made.path}/keys`)).length).toBe(2);
    expect((await admin.find(`${made.path}/key/${mount.signing?.keyId}`)).key_name).toBe("g2");
  });

  test("leaves a key alone whose issuer an admin has removed", async () => {
    const made = await clusterWithCa(admin, "keykept");
    const { mount: before } = await rotate(made, newKey);
    await admin.write(`${made.path}/config/issuers`, { default: before.cas[0]?.roots[0]?.id });
    for (const { id, name } of before.issuers)
      if (name !== "") await admin.remove(`${made.path}/issuer/${id}`);
    const { mount } = await rotate(made, newKey);
    expect(mount.cas.map(({ name }) => name)).toEqual(["g1", "g2"]);
    const keys = await admin.list(`${made.path}/keys`);
    expect(keys).toContain(before.signing?.keyId ?? "");
    expect(keys.length).toBe(3);
  });

  test("stays newer than a CA that is renewed after it, and loses its first certificate", async () => {
    const made = await clusterWithCa(admin, "renewed", 86_400);
    const { mount: before } = await rotate(made, newKey);
    const [g1] = before.cas;
    await admin.write(`${made.path}/root/rotate/existing`, {
      common_name: "Kubernetes renewed/k8s CA",
      key_ref: g1?.keyId,
      issuer_name: "g1-2",
      // The others begin half a minute before they are made.
      not_before_duration: "1s",
    });
    await admin.remove(`${made.path}/issuer/${g1?.roots[0]?.id}`);
    const { steps, mount } = await rotate(made, newKey);
    expect(steps).toEqual([]);
    expect(mount.cas.map(({ name }) => name)).toEqual(["g1", "g2"]);
  });

  test("keeps the kind of key, unless another one is asked for", async () => {
    const made = await clusterWithCa(admin, "kinds");
    await rotate(made, newKey);
    await rotate(made, { ...again, key: { type: "ec", bits: 384 } });
    const { mount } = await rotate(made, { ...again, key: { type: "rsa", bits: 2048 } });
    const details = mount.cas.map(({ roots }) => roots[0]?.x509.publicKey.asymmetricKeyDetails);
    expect(details).toMatchObject([
      { namedCurve: "prime256v1" },
      { namedCurve: "prime256v1" },
      { namedCurve: "secp384r1" },
      { modulusLength: 2048 },
    ]);
  });

  test("works again before the first one is over, so that a leaf leads to each of three CAs", async () => {
    const made = await clusterWithCa(admin, "thrice");
    await rotate(made, newKey);
    expect((await rotate(made, newKey)).steps).toEqual([]);
    const { steps, mount } = await rotate(made, again);
    expect(steps).toEqual(threeSteps("g3", "g2"));
    const { csr } = newCsr("a");
    const { data } = await admin.write("thrice/pki/k8s/sign/any", { csr, common_name: "a" });
    const { certificate, ca_chain } = data as { certificate: string; ca_chain: string[] };
    using folder = temporaryFolder();
    const file = (name: string, text: string) => {
      writeFileSync(join(folder.path, name), text);
      return join(folder.path, name);
    };
    const leaf = file("leaf", certificate);
    const crosses = mount.issuers.filter(({ name }) => name.includes("-by-")).map((it) => it.certificate);
    const chain = ca_chain.map((pem) => pem.trim());
    expect(crosses.filter((pem) => !chain.includes(pem.trim()))).toEqual([]);
    const untrusted = file("untrusted", crosses.join("\n"));
    for (const { name, roots } of mount.cas) {
      const trusted = file(name, roots[0]?.certificate ?? "");
      expect(openssl(["verify", "-trusted", trusted, "-untrusted", untrusted, leaf])).toEndWith(": OK\n");
    }
  });

  // OpenBao orders a chain by the issuers' ids, so that each try is another case.
  test.each([1, 2, 3])("works with five CAs at once, try %i", async (number) => {
    const made = await clusterWithCa(admin, `five-${number}`);
    for (const next of [2, 3, 4, 5]) {
      const { steps, mount } = await rotate(made, again);
      expect(steps).toEqual(threeSteps(`g${next}`, `g${next - 1}`));
      expect(mount.issuers.filter(({ manualChain }) => manualChain.length > 0)).toEqual([]);
      await sign(admin, made.path, "a");
    }
  });

  test("puts a chain right that a stopped run has left cut short", async () => {
    const made = await clusterWithCa(admin, "cut-short");
    await rotate(made, newKey);
    const { mount } = await rotate(made, again);
    const id = mount.cas.at(-1)?.roots[0]?.id ?? "";
    const body = { issuer_name: "g3", manual_chain: [id] };
    await admin.write(`${made.path}/issuer/${id}`, body).catch((error) => {
      // Vault refuses a chain of the issuer alone.
      expect(String(error)).toContain("missing issuer reference");
    });
    const isCut = (await admin.find(`${made.path}/issuer/${id}`)).manual_chain !== null;
    expect((await rotate(made, again)).steps).toEqual([
      ...(isCut ? ["let the server find the chain of g3 again"] : []),
      ...threeSteps("g4", "g3"),
    ]);
  });

  test("takes over what an admin has set for the issuer, such as the places of CRLs", async () => {
    const made = await clusterWithCa(admin, "settings");
    const crls = ["http://crl.example.com/k8s"];
    const settings = { leaf_not_after_behavior: "truncate", crl_distribution_points: crls };
    await admin.write(`${made.path}/issuer/default`, { issuer_name: "first", ...settings });
    const [add, certify, last] = threeSteps("g2", "first");
    const { steps, mount } = await rotate(made, newKey);
    const set = "set leaf_not_after_behavior, crl_distribution_points of issuer g2 as before";
    expect(steps).toEqual([add, certify, set, last].flatMap((it) => it ?? []));
    expect(mount.default).toMatchObject({ name: "g2", mayIssue: true, settings });
  });

  test("stops a server that makes each new issuer the default by itself", async () => {
    const made = await clusterWithCa(admin, "follows");
    const { default: id } = await admin.find("follows/pki/k8s/config/issuers");
    await admin.write("follows/pki/k8s/config/issuers", { default: id, default_follows_latest_issuer: true });
    const { steps, mount } = await rotate(made, newKey);
    expect(steps).toEqual(["turn default_follows_latest_issuer off", ...threeSteps("g2", "g1")]);
    expect(mount.followsLatest).toBe(false);
  });

  test.each(
    [0, 1, 2, 3, 4, 5, 6, 7].flatMap((writes) => [
      [writes, "refused"],
      [writes, "answered to nobody"],
    ]),
  )("whose write number %i is %s, is continued with one new key", async (number, how) => {
    const made = await clusterWithCa(admin, `stop-${number}-${how.slice(0, 1)}`);
    let left = Number(number);
    fault = async (request, _number, pass) => {
      if (!isWrite(request) || left-- > 0) return undefined;
      if (how !== "refused" && left === -1) await pass();
      return Response.json({ errors: ["Vault is sealed"] }, { status: 503 });
    };
    await rotate(made, newKey).catch(() => {});
    fault = undefined;
    const plan = await planRotation(client, made.cluster, made.k8s, newKey);
    const mount = await plan.apply(
      () => {},
      () => {},
    );
    expect(mount.cas.map(({ name }) => name)).toEqual(["g1", "g2"]);
    expect(mount.issuers.map(({ name }) => name).toSorted()).toEqual(["", "g2", "g2-by-g1"]);
    expect(mount.default?.name).toBe("g2");
    expect(mount.issuers.find(({ name }) => name === "g2-by-g1")?.mayIssue).toBe(false);
  });

  test("makes a new CA beside an older one that an admin has imported and made the default", async () => {
    const made = await clusterWithCa(admin, "imported");
    const id = await importOldCa(admin, made.path, { name: "company", daysOld: 100 });
    await admin.write(`${made.path}/config/issuers`, { default: id });
    const plan = await planRotation(client, made.cluster, made.k8s, newKey);
    expect(plan.steps.map(stepText).map((step) => step.replace(/\d{4}-\d\d-\d\d/, "DAY"))).toEqual(
      threeSteps("g3", "company"),
    );
    const mount = await plan.apply(
      () => {},
      () => {},
    );
    expect(mount.default?.name).toBe("g3");
  });

  test("says that the new CA lacks the limits of the one before", async () => {
    const made = await bareCluster(admin, "limits");
    const usage = "keyUsage=critical,keyCertSign,cRLSign";
    const limit = "nameConstraints=permitted;DNS:example.com";
    const extensions = ["basicConstraints=critical,CA:TRUE", usage, limit];
    const id = await importOldCa(admin, made.path, { name: "g1", daysOld: 3, extensions });
    await admin.write(`${made.path}/config/issuers`, { default: id });
    const plan = await planRotation(client, made.cluster, made.k8s, newKey);
    expect(plan.note).toBe("g1 limits the names below it (name constraints), and the new CA does not");
    const free = await clusterWithCa(admin, "free");
    expect((await planRotation(client, free.cluster, free.k8s, newKey)).note).toBeUndefined();
  });

  test("gives a CA that an admin added by hand the cross certificate that it lacks", async () => {
    const made = await bareCluster(admin, "byhand");
    await importOldCa(admin, made.path, { name: "first", daysOld: 20 });
    const id = await importOldCa(admin, made.path, { name: "next", daysOld: 10 });
    await admin.write(`${made.path}/config/issuers`, { default: id });
    const { steps } = await rotate(made, newKey);
    expect(steps).toEqual(["add issuer next-by-first: a cross certificate, signed by first until DAY"]);
    expect((await rotate(made, newKey)).steps).toEqual(threeSteps("g3", "next"));
  });

  test("does the same for a CA with a subject of its own, also without a name", async () => {
    const made = await bareCluster(admin, "other-subject");
    const { path } = made;
    await importOldCa(admin, path, { name: "first", daysOld: 20, subject: "/CN=First" });
    const id = await importOldCa(admin, path, { name: "", daysOld: 10, subject: "/CN=Second" });
    await admin.write(`${path}/config/issuers`, { default: id });
    const { steps, mount } = await rotate(made, newKey);
    const key = mount.signing?.keyId.slice(0, 8) ?? "";
    expect(steps).toEqual([`add issuer ${key}-by-first: a cross certificate, signed by first until DAY`]);
    expect(mount.cas.map(({ name }) => name)).toEqual(["first", key]);
    expect(mount.default?.id).toBe(id);
  });

  test("lets a CA sign all the time whose cross certificate an admin made the default", async () => {
    const made = await bareCluster(admin, "cross-default");
    const { path } = made;
    await importOldCa(admin, path, { name: "g1", daysOld: 20 });
    await importOldCa(admin, path, { name: "g2", daysOld: 10 });
    const { data: request } = await admin.write(`${path}/intermediate/cross-sign`, {
      common_name: "Kubernetes CA",
      key_ref: (await admin.find(`${path}/issuer/g2`)).key_id,
    });
    const { data: signed } = await admin.write(`${path}/issuer/g1/sign-intermediate`, {
      csr: (request as { csr: string }).csr,
      common_name: "Kubernetes CA",
    });
    const { data: imported } = await admin.write(`${path}/issuers/import/cert`, {
      pem_bundle: (signed as { certificate: string }).certificate,
    });
    const [cross] = (imported as { imported_issuers: string[] }).imported_issuers;
    await admin.write(`${path}/config/issuers`, { default: cross });
    expect((await rotate(made, newKey)).steps).toEqual([
      "make issuer g2 the default",
      "keep issuer g2-by-g1 from signing",
    ]);
  });

  test("is not repeated within a day, also if the CA before may no longer sign", async () => {
    const made = await clusterWithCa(admin, "read-only");
    const { mount } = await rotate(made, newKey);
    await admin.write(`${made.path}/issuer/${mount.cas[0]?.roots[0]?.id}`, { usage: "read-only" });
    expect((await rotate(made, newKey)).steps).toEqual([]);
  });

  test("is not repeated within a day, also if the CA before was removed", async () => {
    const made = await clusterWithCa(admin, "removed");
    const { mount } = await rotate(made, newKey);
    for (const { id, isDefault } of mount.issuers) {
      if (!isDefault) await admin.remove(`${made.path}/issuer/${id}`);
    }
    expect((await rotate(made, newKey)).steps).toEqual([]);
    expect((await rotate(made, again)).steps).toEqual(threeSteps("g3", "g2"));
  });
});

test("of CAs that begin in the same second, the one that signs is the newest", async () => {
  const made = await bareCluster(admin, "same-second");
  const now = Date.now();
  const ids: string[] = [];
  for (const subject of ["/CN=A", "/CN=B", "/CN=C"]) {
    ids.push(await importOldCa(admin, made.path, { name: "", daysOld: 10, subject, now }));
  }
  for (const id of ids) {
    await admin.write(`${made.path}/config/issuers`, { default: id });
    const { cas, signing } = await readMountCas(client, made.path);
    expect(cas.at(-1)?.name).toBe(signing?.name ?? "");
  }
});

test("the default issuer is found while another run adds one and makes it the default", async () => {
  const { path } = await clusterWithCa(admin, "meanwhile");
  const { promise: isAdded, resolve } = Promise.withResolvers<void>();
  fault = async (request, _number, pass) => {
    if (request.path === `${path}/config/issuers`) await Promise.race([isAdded, Bun.sleep(300)]);
    const answer = await pass();
    if (request.path === `${path}/issuers`) {
      const { data } = await admin.write(`${path}/root/rotate/internal`, {
        common_name: "x",
        key_type: "ec",
      });
      const { issuer_id } = data as { issuer_id: string };
      await admin.write(`${path}/config/issuers`, { default: issuer_id });
      resolve();
    }
    return answer;
  };
  const mount = await readMountCas(client, path);
  fault = undefined;
  expect(mount.default?.isDefault).toBe(true);
});

describe("a rotation with the same key", () => {
  test("renews the certificate, so that old and new verify each other's certificates", async () => {
    const made = await clusterWithCa(admin, "same", 86_400);
    await sign(admin, made.path, "a");
    const { steps, mount } = await rotate(made, renew);
    expect(steps).toEqual([
      "add issuer g1-2: a new certificate for the key of g1",
      "make issuer g1-2 the default",
    ]);
    const [ca, ...others] = mount.cas;
    expect([ca?.name, others.length, ca?.roots.length]).toEqual(["g1", 0, 2]);
    const [latest, first] = ca?.roots ?? [];
    expect([latest?.name, latest?.isDefault]).toEqual(["g1-2", true]);
    expect(latest?.x509.verify(first?.x509.publicKey as KeyObject)).toBe(true);
    expect((await rotate(made, renew)).steps).toEqual([]);
  });

  test("keeps the CA's name, although its key has a certificate with another name that lasts longer", async () => {
    const made = await clusterWithCa(admin, "named", 86_400);
    const other = { common_name: "other", ttl: "175200h", issuer_name: "other" };
    await admin.write(`${made.path}/root/rotate/existing`, other);
    const { mount } = await rotate(made, renew);
    expect(mount.issuers).toHaveLength(3);
    expect(mount.default?.x509.subject).toBe("CN=Kubernetes named/k8s CA");
    expect(mount.default?.name).not.toBe("other");
  });

  test("makes a certificate the default that an interrupted run has made", async () => {
    const made = await clusterWithCa(admin, "half", 86_400);
    const { default: id } = await admin.find("half/pki/k8s/config/issuers");
    await rotate(made, renew);
    await admin.write("half/pki/k8s/config/issuers", { default: id });
    expect((await rotate(made, renew)).steps).toEqual(["make issuer g1-2 the default"]);
  });
});

describe("a rotation is refused, and changes nothing, if", () => {
  async function refusal({ cluster, k8s, path }: Awaited<ReturnType<typeof bareCluster>>, wish = newKey) {
    relay.reset();
    const {
      kind,
      message,
      hint = "",
    } = await failureOf(async () => {
      const plan = await planRotation(client, cluster, k8s, wish);
      await plan.apply(
        () => {},
        () => {},
      );
    });
    expect(relay.writes()).toEqual([]);
    return { kind, message: message.replaceAll(path, "MOUNT"), hint };
  }

  test("the mount has no issuer, or is not there", async () => {
    expect(await refusal(await bareCluster(admin, "empty"))).toMatchObject({
      kind: "config",
      message: "mount MOUNT has no issuer",
      hint: "run setup-mounts empty first",
    });
    const made = await bareCluster(admin, "absent");
    await admin.remove(`sys/mounts/${made.path}`);
    expect((await refusal(made)).message).toBe("mount MOUNT does not exist");
    await admin.write(`sys/mounts/${made.path}`, { type: "kv" });
    expect((await refusal(made)).message).toStartWith("mount MOUNT is of type generic, and holds no CA");
  });

  test("the default issuer was removed", async () => {
    const made = await clusterWithCa(admin, "lost");
    await importOldCa(admin, made.path, { name: "other", daysOld: 5 });
    const readOnly = await importOldCa(admin, made.path, { name: "read-only", daysOld: 5 });
    await admin.write(`${made.path}/issuer/${readOnly}`, { issuer_name: "read-only", usage: "read-only" });
    const { default: id } = await admin.find("lost/pki/k8s/config/issuers");
    await admin.remove(`lost/pki/k8s/issuer/${id}`);
    const { message, hint } = await refusal(made);
    expect(message).toBe("the CA of MOUNT is unknown: the mount has no default issuer");
    expect(hint).toContain("choose one of other: vault write lost/pki/k8s/config/issuers default=ISSUER");
  });

  test("the mount does not hold its key", async () => {
    const made = await bareCluster(admin, "keyless");
    using authority = createAuthority("Company CA");
    await admin.write(`${made.path}/issuers/import/cert`, { pem_bundle: authority.pem });
    await admin.write(`${made.path}/config/issuers`, {
      default: (await readMountCas(client, made.path)).issuers[0]?.id,
    });
    expect((await refusal(made, renew)).message).toBe(
      "the CA of MOUNT can't be rotated here: the mount does not hold its key",
    );
  });

  test("it is an intermediate CA", async () => {
    const above = await clusterWithCa(admin, "company");
    const made = await bareCluster(admin, "inter");
    const { data } = await admin.write(`${made.path}/intermediate/generate/internal`, {
      common_name: "below",
    });
    const { csr } = data as { csr: string };
    const signed = await admin.write(`${above.path}/root/sign-intermediate`, { csr, common_name: "below" });
    const { certificate } = signed.data as { certificate: string };
    await admin.write(`${made.path}/intermediate/set-signed`, { certificate });
    for (const wish of [renew, newKey]) {
      const { message, hint } = await refusal(made, wish);
      expect(message).toBe("the CA of MOUNT is an intermediate CA, so only the CA above it can renew it");
      expect(hint).toContain("vault write inter/pki/k8s/intermediate/generate/existing key_ref=");
    }
  });

  test("the server would write its subject in another way", async () => {
    const made = await bareCluster(admin, "company-name");
    const id = await importOldCa(admin, made.path, { name: "g1", daysOld: 3, subject: "/O=Example/CN=CA" });
    await admin.write(`${made.path}/config/issuers`, { default: id });
    expect((await refusal(made, renew)).message).toStartWith(
      "the CA of MOUNT has the subject CN=CA, O=Example, which",
    );
    expect((await rotate(made, newKey)).steps).toEqual(threeSteps("g2", "g1"));
  });

  test("the server would write its key identifier in another way, or leave out its limits", async () => {
    const made = await bareCluster(admin, "identifier");
    const use = async (ca: Omit<Parameters<typeof importOldCa>[2], "daysOld">) => {
      const id = await importOldCa(admin, made.path, { ...ca, daysOld: 3 });
      await admin.write(`${made.path}/config/issuers`, { default: id });
    };
    await use({ name: "g1" });
    expect((await planRotation(client, made.cluster, made.k8s, renew)).steps).toHaveLength(2);
    await use({ name: "g2", keyIdentifier: "0102030405060708" });
    expect((await refusal(made, renew)).message).toContain(
      "has the key identifier 0102030405060708, which the server would write in another way",
    );
    const limits = [
      "basicConstraints=critical,CA:TRUE",
      "nameConstraints=critical,permitted;DNS:example.com",
    ];
    await use({ name: "g3", extensions: [...limits, "keyUsage=critical,keyCertSign,cRLSign"] });
    expect((await refusal(made, renew)).message).toContain("limits the names below it");
  });

  test("it may have no CA below it, or has expired", async () => {
    const made = await bareCluster(admin, "short");
    const limits = ["basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign"];
    const id = await importOldCa(admin, made.path, { name: "g1", daysOld: 3, extensions: limits });
    await admin.write(`${made.path}/config/issuers`, { default: id });
    expect((await refusal(made)).message).toContain("may have no CA below it (path length 0)");
    const ended = await importOldCa(admin, made.path, { name: "ended", daysOld: 9, daysLeft: -1 });
    await admin.write(`${made.path}/config/issuers`, { default: ended });
    expect((await refusal(made)).message).toMatch(
      /^the CA of MOUNT expired .*, so it can't certify another CA$/,
    );
  });

  test("hosts could not take so many CAs", async () => {
    const made = await clusterWithCa(admin, "crowded");
    for (let i = 0; i < 27; i++) await importOldCa(admin, made.path, { name: `old-${i}`, daysOld: 30 });
    expect((await refusal(made)).message).toMatch(
      /so many certificates \(28\) that hosts could not take another CA$/,
    );
  });

  test("the mount's max lease TTL would shorten it", async () => {
    const made = await clusterWithCa(admin, "longer");
    const cluster = defineCluster("longer", { caValiditySeconds: 30 * 365 * 86_400 });
    expect(await refusal({ ...made, cluster }, renew)).toMatchObject({
      kind: "config",
      message: "a CA of 30y is longer than the max lease TTL of MOUNT, 20y",
      hint: "nothing was changed; run setup-mounts longer with the same file or flag first",
    });
  });

  test("the clocks are apart", async () => {
    const made = await clusterWithCa(admin, "clocks");
    fault = movedClock(() => 7_260_000);
    const { kind, message, hint } = await refusal(made);
    fault = undefined;
    expect([kind, message]).toEqual(["config", "this host's clock is 2h behind the server's"]);
    expect(hint).toBe("nothing was changed; set the wrong one of the two clocks first");
  });
});
