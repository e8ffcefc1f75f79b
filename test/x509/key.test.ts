import { describe, expect, test } from "bun:test";
import { sign, verify } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { generateKey, publicKeyDer, readKey } from "../../lib/x509/key.ts";
import type { KeyType } from "../../lib/x509/key-type.ts";
import { encodePem } from "../../lib/x509/pem.ts";
import { failureOf } from "../support/failure.ts";
import { openssl, opensslEcKey, opensslKey, opensslRsaKey } from "../support/openssl.ts";

const ec = (bits: 256 | 384 | 521): KeyType => ({ type: "ec", bits });
const nist = { "P-256": 256, "P-384": 384, "P-521": 521 } as const;
const usualEcForm = ["-ec_conv_form", "uncompressed", "-ec_param_enc", "named_curve"];
const parameterBlock = (curve: keyof typeof nist) =>
  openssl(["ecparam", "-name", { "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1" }[curve]]);

const rsaForms = ([2048, 3072, 4096] as const).flatMap((bits) => {
  const pkcs8 = opensslRsaKey(bits);
  return [
    [`RSA ${bits}, PKCS #8`, pkcs8, { type: "rsa", bits }],
    [`RSA ${bits}, PKCS #1`, openssl(["rsa", "-traditional"], pkcs8), { type: "rsa", bits }],
  ] as const;
});

const ecForms = (Object.keys(nist) as Array<keyof typeof nist>).flatMap((curve) => {
  const pkcs8 = opensslEcKey(curve);
  const sec1 = openssl(["ec"], pkcs8);
  const withoutPoint = openssl(["ec", "-no_public"], pkcs8);
  const type = ec(nist[curve]);
  return [
    [`${curve}, PKCS #8`, pkcs8, type],
    [
      `${curve}, PKCS #8 with a compressed point`,
      openssl(["pkey", "-ec_conv_form", "compressed"], pkcs8),
      type,
    ],
    [`${curve}, SEC 1`, sec1, type],
    [`${curve}, SEC 1 after a block of parameters`, parameterBlock(curve) + sec1, type],
    [`${curve}, SEC 1 without its public point`, withoutPoint, type],
    [`${curve}, SEC 1 after parameters, without its point`, parameterBlock(curve) + withoutPoint, type],
    [`${curve}, SEC 1 with the curve written out`, openssl(["ec", "-param_enc", "explicit"], pkcs8), type],
  ] as const;
});

const everyForm: ReadonlyArray<readonly [name: string, pem: string, type: KeyType]> = [
  ...rsaForms,
  ...ecForms,
  ["Ed25519, PKCS #8", opensslKey("ED25519"), { type: "ed25519", bits: 256 }],
];

describe("readKey()", () => {
  test.each(everyForm)("reads %s, and keeps its text unchanged", async (_name, pem, type) => {
    const read = await readKey(pem, "it");
    expect(read.type).toEqual(type);
    expect(read.pem).toBe(pem);
    expect(encodePem("PUBLIC KEY", publicKeyDer(read.key))).toBe(
      openssl(["pkey", "-pubout", ...(type.type === "ec" ? usualEcForm : [])], pem),
    );
  });

  test("reads a key with other line ends, text around it, or in a single line", async () => {
    const pem = opensslEcKey("P-256");
    const body = pem.split("\n").slice(1, -2).join("");
    for (const same of [
      pem.replaceAll("\n", "\r\n"),
      `the key of etcd-1\n${pem}made by hand\n`,
      `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----`,
    ]) {
      const read = await readKey(same, "it");
      expect(encodePem("PRIVATE KEY", read.key.export({ type: "pkcs8", format: "der" }))).toBe(pem);
    }
  });

  const rsa = opensslRsaKey(2048);
  const p256Key = opensslEcKey("P-256");
  const body = p256Key.split("\n").slice(1, -2).join("\n");
  const legacy = openssl(["ec", "-aes128", "-passout", "pass:secret"], p256Key);
  const refused: ReadonlyArray<readonly [name: string, text: string, words: string]> = [
    [
      "an encrypted key",
      openssl(["pkcs8", "-topk8", "-passout", "pass:secret"], p256Key),
      "holds a key that is encrypted",
    ],
    ["a key encrypted in OpenSSL's old format", legacy, "holds a key that is encrypted"],
    ["a key on secp256k1", opensslEcKey("secp256k1"), "holds a private key that can't be read"],
    [
      "a key on secp256k1 in SEC 1",
      openssl(["ec"], opensslEcKey("secp256k1")),
      "holds a private key that can't be read",
    ],
    [
      "an RSA key of 1024 bits",
      opensslRsaKey(1024),
      "holds an RSA key of 1024 bits; at least 2048 are needed",
    ],
    ["an X25519 key", opensslKey("X25519"), "holds a key of an unsupported type (x25519)"],
    ["an Ed448 key", opensslKey("ED448"), "holds a private key that can't be read"],
    ["a DSA key", dsaKey(), "holds a key of an unsupported type (dsa)"],
    ["two keys", rsa + p256Key, "holds 2 private keys"],
    ["a certificate", selfSigned(p256Key), "holds no private key in PEM"],
    ["a public key", openssl(["pkey", "-pubout"], p256Key), "holds no private key in PEM"],
    ["an empty file", "", "holds no private key in PEM"],
    ["a file of zeros", "\0".repeat(1700), "holds no private key in PEM"],
    ["a key in DER", Buffer.from(body, "base64").toString("latin1"), "holds no private key in PEM"],
    ["base64 that is cut off", p256Key.replace(body, body.slice(0, 70)), "broken base64"],
    [
      "whole groups of base64 missing",
      p256Key.replace(body, body.slice(0, 64)),
      "holds a private key that can't be read",
    ],
    ["a file cut off in the middle", p256Key.slice(0, 120), "holds a PEM block that is cut off"],
    [
      "a footer of another kind",
      p256Key.replace("END PRIVATE", "END PUBLIC"),
      "holds a PEM block that is cut off",
    ],
    [
      "a key under another's label",
      p256Key.replaceAll("PRIVATE KEY", "RSA PRIVATE KEY"),
      "holds a private key that can't be read",
    ],
    [
      "bytes that are no DER",
      encodePem("PRIVATE KEY", Buffer.alloc(64, 0xff)),
      "holds a private key that can't be read",
    ],
  ];
  test.each(refused)(
    "refuses %s with its own message, which quotes no content",
    async (_name, text, words) => {
      const failure = await failureOf(() => readKey(text, "/etc/etcd-key.pem"));
      expect(failure.kind).toBe("data");
      expect(failure.message).toStartWith("/etc/etcd-key.pem ");
      expect(failure.message).toContain(words);
      const said = Bun.inspect([failure.message, failure.hint, failure.cause]);
      for (const line of text.split("\n").filter((it) => it.length > 30)) expect(said).not.toContain(line);
    },
  );
});

describe("generateKey()", () => {
  const types: ReadonlyArray<readonly [string, KeyType, RegExp]> = [
    ["RSA 2048", { type: "rsa", bits: 2048 }, /Private-Key: \(2048 bit/],
    ["RSA 3072", { type: "rsa", bits: 3072 }, /Private-Key: \(3072 bit/],
    ["RSA 4096", { type: "rsa", bits: 4096 }, /Private-Key: \(4096 bit/],
    ["P-256", ec(256), /NIST CURVE: P-256/],
    ["P-384", ec(384), /NIST CURVE: P-384/],
    ["P-521", ec(521), /NIST CURVE: P-521/],
    ["Ed25519", { type: "ed25519", bits: 256 }, /ED25519 Private-Key/],
  ];
  test.each(types)("makes %s that openssl and readKey() read alike", async (_name, type, words) => {
    const made = await generateKey(type);
    expect(openssl(["pkey", "-noout", "-text"], made.pem)).toMatch(words);
    const read = await readKey(made.pem, "it");
    expect(read.type).toEqual(type);
    expect(publicKeyDer(read.key)).toEqual(publicKeyDer(made.key));
    expect(encodePem("PUBLIC KEY", publicKeyDer(made.key))).toBe(openssl(["pkey", "-pubout"], made.pem));
  });

  test("makes a new key each time", async () => {
    const pems = await Promise.all(Array.from({ length: 8 }, () => generateKey(ec(256))));
    expect(new Set(pems.map(({ pem }) => pem)).size).toBe(8);
  });
});

describe("publicKeyDer() against another implementation", () => {
  test.each([
    ["P-256", p256],
    ["P-384", p384],
    ["P-521", p521],
  ] as const)("returns the point on %s that is the scalar times the base point", async (curve, noble) => {
    for (let i = 0; i < 10; i++) {
      const { secretKey, publicKey } = noble.keygen();
      const key = await readKey(sec1WithoutPoint(curve, secretKey), "it");
      const der = publicKeyDer(key.key);
      const uncompressed = noble.Point.fromBytes(publicKey).toBytes(false);
      expect(der.slice(-uncompressed.length)).toEqual(Uint8Array.from(uncompressed));
    }
  });

  test("returns the public key of an Ed25519 seed", async () => {
    for (let i = 0; i < 10; i++) {
      const { secretKey, publicKey } = ed25519.keygen();
      const seed = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), secretKey]);
      const { key } = await readKey(encodePem("PRIVATE KEY", seed), "it");
      expect(publicKeyDer(key).slice(-32)).toEqual(Uint8Array.from(publicKey));
      // Each implementation verifies the other's signatures.
      const message = Buffer.from("renew");
      expect(ed25519.verify(sign(null, message, key), message, publicKey)).toBe(true);
      expect(verify(null, message, key, ed25519.sign(message, secretKey))).toBe(true);
    }
  });
});

/** RFC 5915, section 3, with version, key and curve only. */
function sec1WithoutPoint(curve: keyof typeof nist, scalar: Uint8Array): string {
  const oid = { "P-256": "06082a8648ce3d030107", "P-384": "06052b81040022", "P-521": "06052b81040023" }[
    curve
  ];
  const parameters = Buffer.from(oid, "hex");
  const content = Buffer.concat([
    Buffer.of(0x02, 0x01, 0x01, 0x04, scalar.length),
    scalar,
    Buffer.of(0xa0, parameters.length),
    parameters,
  ]);
  return encodePem("EC PRIVATE KEY", Buffer.concat([Buffer.of(0x30, content.length), content]));
}

function selfSigned(key: string): string {
  return openssl(["req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=a", "-days", "1"], key);
}

function dsaKey(): string {
  // A small key is made quickly. It is refused for its type, not its size.
  const parameters = openssl([
    "genpkey",
    "-genparam",
    "-algorithm",
    "DSA",
    "-pkeyopt",
    "dsa_paramgen_bits:1024",
  ]);
  return openssl(["genpkey", "-paramfile", "/dev/stdin"], parameters);
}
