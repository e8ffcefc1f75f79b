import { describe, expect, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import { publicKeyDer, readKey } from "../../lib/x509/key.ts";
import { decodePem, encodePem } from "../../lib/x509/pem.ts";
import { failureOf } from "../support/failure.ts";

// RFC 8410, section 10.1 and 10.3.
const rfc8410 = {
  publicKey: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
  version1: `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`,
  version2: `-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
`,
};

describe("readKey() on the vectors of RFC 8410, section 10.3", () => {
  test.each([
    ["version 1", rfc8410.version1],
    ["version 2, with an attribute and the public key", rfc8410.version2],
  ])("%s", async (_name, pem) => {
    const read = await readKey(pem, "it");
    expect(read.type).toEqual({ type: "ed25519", bits: 256 });
    expect(read.pem).toBe(pem);
    expect(Buffer.from(publicKeyDer(read.key)).toString("base64")).toBe(rfc8410.publicKey);
  });

  test("version 2 without attributes, as Java writes it", async () => {
    const { secretKey, publicKey } = ed25519.keygen();
    const read = await readKey(encodePem("PRIVATE KEY", version2(secretKey, publicKey)), "it");
    expect(publicKeyDer(read.key).slice(-32)).toEqual(Uint8Array.from(publicKey));
  });

  test("refuses version 2 with another key's public key", async () => {
    const { secretKey } = ed25519.keygen();
    const { publicKey } = ed25519.keygen();
    const pem = encodePem("PRIVATE KEY", version2(secretKey, publicKey));
    const failure = await failureOf(() => readKey(pem, "/etc/a-key.pem"));
    expect(failure.kind).toBe("data");
    expect(failure.message).toBe("/etc/a-key.pem holds a public key that does not belong to its private key");
  });

  test("refuses version 2 cut at any byte, or with one byte more", async () => {
    const der = decodePem(rfc8410.version2, "it")[0]?.der ?? new Uint8Array();
    for (let end = 1; end < der.length; end++) {
      await failureOf(() => readKey(encodePem("PRIVATE KEY", der.subarray(0, end)), "it"));
    }
    await failureOf(() => readKey(encodePem("PRIVATE KEY", Buffer.concat([der, Buffer.of(0)])), "it"));
  });
});

// RFC 6979, appendix A.2.5 to A.2.7: private key x and the public point's coordinates.
const rfc6979 = [
  {
    curve: "P-256",
    oid: "06082a8648ce3d030107",
    x: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    u: "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
  },
  {
    curve: "P-384",
    oid: "06052b81040022",
    x: "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
    u: "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
  },
  {
    curve: "P-521",
    oid: "06052b81040023",
    x: "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
    u: "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a400493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
  },
];

describe("readKey() on RFC 5915's form of the keys of RFC 6979, appendix A.2", () => {
  test.each(rfc6979)("reads $curve with its public point and without", async ({ oid, x, u }) => {
    const version = tlv(0x02, "01");
    const parameters = tlv(0xa0, oid);
    const point = tlv(0xa1, tlv(0x03, `0004${u}`));
    for (const content of [
      version + tlv(0x04, x) + parameters,
      version + tlv(0x04, x) + parameters + point,
    ]) {
      const der = Buffer.from(tlv(0x30, content), "hex");
      const read = await readKey(encodePem("EC PRIVATE KEY", der), "it");
      expect(Buffer.from(publicKeyDer(read.key)).toString("hex")).toEndWith(`04${u}`);
    }
  });

  test.each(rfc6979)("refuses $curve with another key's public point", async ({ oid, x, u }) => {
    // The mirrored point is on the curve, but does not belong to the key.
    const half = u.length / 2;
    const mirrored = u.slice(0, half) + negated(u.slice(half), oid);
    const der = tlv(
      0x30,
      tlv(0x02, "01") + tlv(0x04, x) + tlv(0xa0, oid) + tlv(0xa1, tlv(0x03, `0004${mirrored}`)),
    );
    await failureOf(() => readKey(encodePem("EC PRIVATE KEY", Buffer.from(der, "hex")), "it"));
  });

  test.each(rfc6979)("refuses $curve with a scalar of zero or beyond the order", async ({ oid, x }) => {
    for (const scalar of [x.replace(/./g, "0"), x.replace(/./g, "f")]) {
      const der = tlv(0x30, tlv(0x02, "01") + tlv(0x04, scalar) + tlv(0xa0, oid));
      await failureOf(() => readKey(encodePem("EC PRIVATE KEY", Buffer.from(der, "hex")), "it"));
    }
  });
});

/** The DER of a tag and its content, both in hexadecimal. */
function tlv(tag: number, content: string): string {
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  const length = content.length / 2;
  const size =
    length < 0x80
      ? hex(length)
      : length < 0x100
        ? `81${hex(length)}`
        : `82${length.toString(16).padStart(4, "0")}`;
  return `${hex(tag)}${size}${content}`;
}

/** RFC 5958, section 2: OneAsymmetricKey with the public key and no attributes. */
function version2(seed: Uint8Array, publicKey: Uint8Array): Buffer {
  const seedHex = Buffer.from(seed).toString("hex");
  const content = `02010130050603${"2b6570"}${tlv(0x04, tlv(0x04, seedHex))}${tlv(0x81, `00${Buffer.from(publicKey).toString("hex")}`)}`;
  return Buffer.from(tlv(0x30, content), "hex");
}

/** The other square root: the field's prime minus the coordinate. */
function negated(y: string, oid: string): string {
  const prime =
    {
      "06082a8648ce3d030107": 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
      "06052b81040022": 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    }[oid] ?? 2n ** 521n - 1n;
  return (prime - BigInt(`0x${y}`)).toString(16).padStart(y.length, "0");
}
