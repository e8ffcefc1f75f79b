import { describe, expect, test } from "bun:test";
import { pkiRoles } from "../../lib/cluster/pki-roles.ts";
import type { Fields } from "../../lib/vault/shape.ts";
import { driftingCluster } from "./drifting.ts";
import { originalObjects } from "./objects.ts";

const { admin, cluster, id, repair, faults } = await driftingCluster();
const roles = pkiRoles(cluster);
const kubelet = `${id}/pki/k8s/roles/kubelet`;
/** The fields of this server's roles. */
const known = await admin.find(kubelet);

/** Values to which a field can be changed by hand. */
const other: Fields = {
  key_type: "ec",
  cn_validations: ["disabled"],
  key_usage: ["CertSign"],
  ext_key_usage: ["OCSPSigning"],
  ext_key_usage_oids: ["1.2.3.4"],
  policy_identifiers: ["1.2.3.5"],
  allowed_other_sans: ["1.2.3.6;UTF8:*"],
  serial_number_source: "json",
  not_after: "2049-12-31T23:59:59Z",
  issuer_ref: "mine",
};

function altered(field: string, value: unknown): unknown {
  if (field in other) return other[field];
  if (typeof value === "boolean") return !value;
  if (typeof value === "number") return field === "ttl" ? value - 60 : value + 60;
  return Array.isArray(value) ? [...value, "another"] : "another";
}

/** With `key_type` any the server keeps these at 0. */
const ofKeyType = ["key_bits", "signature_bits"];
/** Listed, but always false. */
const fixed = ["allow_token_displayname"];

describe("a PKI role", () => {
  const fields = Object.entries(roles.find(({ path }) => path === kubelet)?.fields ?? {});
  const own = fields.filter(([field]) => ![...ofKeyType, ...fixed].includes(field));

  test("is compared in every field that the Go tool's roles have", () => {
    const original = originalObjects(id, {}).pki_roles.k8s?.kubelet ?? {};
    expect(fields.map(([field]) => field).sort()).toEqual(Object.keys(original).sort());
  });

  for (const [field, value] of own) {
    test.skipIf(!(field in known))(`with another ${field} comes back`, async () => {
      await admin.write(kubelet, { ...Object.fromEntries(fields), [field]: altered(field, value) });
      // The change by hand has to change something.
      expect((await admin.find(kubelet))[field]).not.toEqual(value);
      expect(await repair("write-roles")).toEqual([kubelet]);
      expect(await faults()).toEqual([]);
    });
  }

  test.each([
    ["key_bits", 4096],
    ["signature_bits", 512],
  ])("with another key_type and %s is corrected", async (field, value) => {
    await admin.write(kubelet, { ...Object.fromEntries(fields), key_type: "rsa", [field]: value });
    expect((await admin.find(kubelet))[field]).toBe(value);
    expect(await repair("write-roles")).toEqual([kubelet]);
    expect(await faults()).toEqual([]);
  });

  test.each(roles.map(({ path }) => path))(
    "at %s is restored after its removal and with another max_ttl",
    async (path) => {
      await admin.remove(path);
      expect(await repair("write-roles")).toEqual([path]);
      expect(await faults()).toEqual([]);

      await admin.write(path, { ...(await admin.find(path)), max_ttl: 31_536_001 });
      expect(await repair("write-roles")).toEqual([path]);
      expect(await faults()).toEqual([]);
    },
  );
});
