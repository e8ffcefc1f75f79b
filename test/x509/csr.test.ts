import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { BitString, Constructed, fromBER, Integer, Null, ObjectIdentifier, Sequence } from "asn1js";
import { CertificationRequest } from "pkijs";
import { createCsr } from "../../lib/x509/csr.ts";
import { generateKey, type PrivateKey, publicKeyDer } from "../../lib/x509/key.ts";
import { type KeyType, keyTypeName } from "../../lib/x509/key-type.ts";
import type { Names } from "../../lib/x509/names.ts";
import { decodePem } from "../../lib/x509/pem.ts";
import { failureOf } from "../support/failure.ts";
import { keyTypes } from "../support/key-types.ts";
import { openssl } from "../support/openssl.ts";

const keys = await Promise.all(
  keyTypes.map(async (type) => [keyTypeName(type), await generateKey(type)] as const),
);

const names: Names = {
  commonName: "system:node:worker-1",
  organisations: ["system:nodes", "second"],
  dnsNames: ["worker-1.example.com", "*.example.com"],
  ipAddresses: ["10.0.0.1", "fd00::1"],
};
const only = (commonName: string): Names => ({
  commonName,
  organisations: [],
  dnsNames: [],
  ipAddresses: [],
});

/** How openssl prints a CSR, after it has verified the signature. */
function verified(csr: string): string {
  return openssl(
    ["req", "-noout", "-verify", "-text", "-nameopt", "utf8,sep_multiline,lname", "-subject"],
    csr,
  );
}

function key(type: KeyType["type"]): PrivateKey {
  const found = keys.find(([, it]) => it.type.type === type);
  if (found === undefined) throw new Error(`no ${type} key`);
  return found[1];
}

describe("createCsr()", () => {
  test.each(keys)("makes a CSR that openssl verifies, with every name in it: %s", (_name, it) => {
    const text = verified(createCsr(it, names));
    expect(text).toContain(
      "organizationName=system:nodes\n    organizationName=second\n    commonName=system:node:worker-1\n",
    );
    expect(text).toContain(
      "DNS:worker-1.example.com, DNS:*.example.com, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1\n",
    );
  });

  test.each([
    ["RSA 2048", "sha256WithRSAEncryption"],
    ["RSA 4096", "sha256WithRSAEncryption"],
    ["EC P-256", "ecdsa-with-SHA256"],
    ["EC P-384", "ecdsa-with-SHA384"],
    ["EC P-521", "ecdsa-with-SHA512"],
    ["Ed25519", "ED25519"],
  ])("chooses the signature algorithm by the key: %s", (name, algorithm) => {
    const it = keys.find(([of]) => of === name)?.[1];
    expect(verified(createCsr(it ?? key("rsa"), names))).toContain(`Signature Algorithm: ${algorithm}\n`);
  });

  test.each([["RSA 2048"], ["EC P-256"], ["EC P-384"], ["EC P-521"]])(
    "makes a CSR that pkijs reads and verifies: %s",
    async (name) => {
      const it = keys.find(([of]) => of === name)?.[1];
      const [csr] = decodePem(createCsr(it ?? key("rsa"), names), "the CSR");
      const read = CertificationRequest.fromBER(csr?.der ?? new Uint8Array());
      expect(await read.verify()).toBe(true);
      const subject = read.subject.typesAndValues.map(({ type, value }) => [type, value.valueBlock.value]);
      expect(subject).toEqual([
        ["2.5.4.10", "system:nodes"],
        ["2.5.4.10", "second"],
        ["2.5.4.3", "system:node:worker-1"],
      ]);
      expect(read.attributes?.map(({ type }) => type)).toEqual(["1.2.840.113549.1.9.14"]);
    },
  );

  test("asks for no extension when there are no other names", () => {
    const text = verified(createCsr(key("ec"), only("admin")));
    expect(text).toContain("commonName=admin\n");
    expect(text).not.toContain("Subject Alternative Name");
    expect(text).toContain("Attributes:\n            (none)");
  });

  test("keeps names in any script, and special characters, unchanged", () => {
    const it = { ...only('größe, 日本="x"+\\#;<>'), organisations: ["O=other/CN=root"] };
    const text = openssl(
      ["req", "-noout", "-subject", "-nameopt", "utf8,sep_multiline,lname"],
      createCsr(key("ec"), it),
    );
    expect(text).toContain('commonName=größe, 日本="x"+\\#;<>\n');
    expect(text).toContain("organizationName=O=other/CN=root\n");
  });

  test("writes every spelling of an address as bytes", () => {
    const ipAddresses = ["::", "2001:DB8::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "255.255.255.255"];
    expect(verified(createCsr(key("ec"), { ...only("a"), ipAddresses }))).toContain(
      "IP Address:0:0:0:0:0:0:0:0, IP Address:2001:DB8:0:0:0:0:0:1, IP Address:0:0:0:0:0:FFFF:C000:201, " +
        "IP Address:1:2:3:4:5:6:7:8, IP Address:255.255.255.255\n",
    );
  });

  test("has room for a hundred names", () => {
    const dnsNames = Array.from({ length: 100 }, (_, i) => `host-${i}.example.com`);
    const text = verified(createCsr(key("ec"), { ...only("a"), dnsNames }));
    for (const name of dnsNames) expect(text).toContain(`DNS:${name}`);
  });
});

test.each(["", "10.0.0", "fe80::1%eth0"])("createCsr() refuses %j as an address", async (address) => {
  const key = await generateKey({ type: "ed25519", bits: 256 });
  const failure = await failureOf(() => createCsr(key, { ...only("a"), ipAddresses: [address] }));
  expect([failure.kind, failure.message]).toEqual([
    "internal",
    `can't make a CSR: ${JSON.stringify(address)} is not an address`,
  ]);
});

describe("createCsr() in the shape of RFC 2986, section 4", () => {
  test.each(keys)("%s", (_name, it) => {
    for (const asked of [names, only("a")]) {
      const { version, attributes, publicKey, rest } = parse(createCsr(it, asked));
      expect(rest).toBe(0);
      expect(version).toBe(0);
      expect(Buffer.from(publicKey)).toEqual(Buffer.from(publicKeyDer(it.key)));
      // [0] has to be there even when empty. Without it a server says "sequence truncated".
      expect(attributes.idBlock).toMatchObject({ tagClass: 3, tagNumber: 0, isConstructed: true });
      expect(attributes.valueBlock.value).toHaveLength(asked.dnsNames.length > 0 ? 1 : 0);
    }
  });
});

describe("createCsr() names the signature algorithm", () => {
  test.each(keys)("with a NULL for RSA, and with nothing beside its OID otherwise: %s", (name, it) => {
    // RFC 4055, section 5; RFC 5758, section 3.2; RFC 8410, section 3.
    const parameters = name.startsWith("RSA") ? [Null] : [];
    const { algorithm } = parse(createCsr(it, names));
    expect(algorithm.map((part) => part.constructor)).toEqual([ObjectIdentifier, ...parameters]);
  });
});

describe("createCsr()'s signature against another implementation", () => {
  test.each([
    ["EC P-256", p256, "sha256"],
    ["EC P-384", p384, "sha384"],
    ["EC P-521", p521, "sha512"],
  ] as const)("%s", (name, noble, hash) => {
    const it = keys.find(([of]) => of === name)?.[1] ?? key("rsa");
    const { signed, signature } = parse(createCsr(it, names));
    const point = publicKeyDer(it.key).slice(-(noble.lengths.publicKeyUncompressed ?? 0));
    const digest = createHash(hash).update(signed).digest();
    const options = { format: "der", prehash: false, lowS: false } as const;
    expect(noble.verify(signature, digest, point, options)).toBe(true);
    const other = createHash(hash).update("other").digest();
    expect(noble.verify(signature, other, point, options)).toBe(false);
  });

  test("Ed25519", () => {
    const { signed, signature } = parse(createCsr(key("ed25519"), names));
    expect(ed25519.verify(signature, signed, publicKeyDer(key("ed25519").key).slice(-32))).toBe(true);
  });
});

function parse(csr: string) {
  const der = decodePem(csr, "it")[0]?.der ?? new Uint8Array();
  const { result, offset } = fromBER(der);
  const [info, algorithm, signature] = is(result, Sequence).valueBlock.value;
  const [version, , publicKey, attributes] = is(info, Sequence).valueBlock.value;
  return {
    rest: der.length - offset,
    signed: new Uint8Array(is(info, Sequence).valueBeforeDecodeView),
    version: is(version, Integer).valueBlock.valueDec,
    publicKey: new Uint8Array(is(publicKey, Sequence).valueBeforeDecodeView),
    attributes: is(attributes, Constructed),
    algorithm: is(algorithm, Sequence).valueBlock.value,
    signature: new Uint8Array(is(signature, BitString).valueBlock.valueHexView),
  };
}

function is<T>(value: unknown, type: new () => T): T {
  if (!(value instanceof type)) throw new Error(`not a ${type.name}`);
  return value;
}
