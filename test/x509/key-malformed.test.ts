import { describe, expect, test } from "bun:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { Failure } from "../../lib/failure.ts";
import { generateKey, type PrivateKey, publicKeyDer, readKey } from "../../lib/x509/key.ts";
import { decodePem, encodePem } from "../../lib/x509/pem.ts";
import { failureOf } from "../support/failure.ts";
import { openssl } from "../support/openssl.ts";

interface Sample {
  readonly name: string;
  readonly label: string;
  readonly der: Uint8Array;
  /** The offset of each length field in the DER. */
  readonly lengthAt: readonly number[];
}

const samples: readonly Sample[] = [
  sample("P-256 in PKCS #8", (await generateKey({ type: "ec", bits: 256 })).pem),
  sample("P-521 in SEC 1", openssl(["ec"], (await generateKey({ type: "ec", bits: 521 })).pem)),
  sample("Ed25519 in PKCS #8", (await generateKey({ type: "ed25519", bits: 256 })).pem),
  sample(
    "RSA 2048 in PKCS #1",
    openssl(["rsa", "-traditional"], (await generateKey({ type: "rsa", bits: 2048 })).pem),
  ),
  sample("RSA 2048 in PKCS #8", (await generateKey({ type: "rsa", bits: 2048 })).pem),
];

function sample(name: string, pem: string): Sample {
  const [block] = decodePem(pem, "it");
  if (block === undefined) throw new Error("openssl wrote no key");
  return { name, label: block.label, der: block.der, lengthAt: lengthsOf(block.der) };
}

/** The offset of the first byte of each length field, nested ones included. Does not look inside strings. */
function lengthsOf(der: Uint8Array, from = 0, end = der.length): number[] {
  const places: number[] = [];
  for (let at = from; at + 1 < end; ) {
    const first = der[at + 1] ?? 0;
    const extra = first < 0x80 ? 0 : first & 0x7f;
    const size = extra === 0 ? first : Buffer.from(der).readUIntBE(at + 2, extra);
    const content = at + 2 + extra;
    places.push(at + 1);
    if (((der[at] ?? 0) & 0x20) !== 0) places.push(...lengthsOf(der, content, content + size));
    at = content + size;
  }
  return places;
}

function read({ label }: Sample, der: Uint8Array): Promise<PrivateKey> {
  return readKey(encodePem(label, der), "it");
}

function replaced(der: Uint8Array, at: number, byte: number): Uint8Array {
  const copy = Uint8Array.from(der);
  copy[at] = byte;
  return copy;
}

describe("readKey() on malformed DER", () => {
  test.each(samples)("refuses $name cut off at any byte", async (it) => {
    for (let end = 1; end < it.der.length; end += it.der.length > 300 ? 7 : 1) {
      const failure = await failureOf(() => read(it, it.der.subarray(0, end)));
      expect(failure.kind).toBe("data");
    }
  });

  test.each(samples)("refuses $name with bytes after it", async (it) => {
    for (const tail of [[0], [0x05, 0x00], [...it.der]]) {
      await failureOf(() => read(it, Buffer.concat([it.der, Uint8Array.from(tail)])));
    }
  });

  test.each(samples)("refuses $name with any length changed", async (it) => {
    expect(it.lengthAt.length).toBeGreaterThan(4);
    for (const at of it.lengthAt) {
      const right = it.der[at] ?? 0;
      for (const wrong of [right + 1, right - 1, 0, 0x7f, 0x80, 0x84, 0x88, 0xff]) {
        if ((wrong & 0xff) !== right) await failureOf(() => read(it, replaced(it.der, at, wrong)));
      }
    }
  });

  test.each(samples)("refuses $name with any tag changed", async (it) => {
    // Except the tag of RSA's parameters: they are NULL and carry no information.
    for (const at of it.lengthAt.map((place) => place - 1).filter((place) => it.der[place] !== 0x05)) {
      for (const tag of [0x01, 0x05, 0x0c, 0x31, 0xa5])
        await failureOf(() => read(it, replaced(it.der, at, tag)));
    }
  });

  test("refuses Ed25519 in PKCS #8 version 2 unless the seed is an octet string of 32 bytes", async () => {
    const { der } = samples[2] ?? { der: new Uint8Array() };
    const seed = der.slice(-32);
    const head = Buffer.from("3051020101300506032b657004220420", "hex");
    const publicKey = Buffer.concat([Buffer.from("812100", "hex"), ed25519.getPublicKey(seed)]);
    const version2 = Buffer.concat([head, seed, publicKey]);
    const readDer = (bytes: Uint8Array) => readKey(encodePem("PRIVATE KEY", bytes), "it");
    expect((await readDer(version2)).type.type).toBe("ed25519");
    for (const [at, byte] of [
      [head.length - 2, 0x05],
      [head.length - 2, 0x03],
      [head.length - 1, 31],
      [head.length - 1, 33],
    ] as const) {
      expect((await failureOf(() => readDer(replaced(version2, at, byte)))).kind).toBe("data");
    }
  });

  test("returns a key or throws a Failure for any change, and never throws another error", async () => {
    const change = fc.record({
      it: fc.constantFrom(...samples.slice(0, 4)),
      edits: fc.array(fc.tuple(fc.nat(2000), fc.nat(255), fc.constantFrom("set", "drop", "insert")), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    await fc.assert(
      fc.asyncProperty(change, async ({ it, edits }) => {
        const der = edits.reduce<readonly number[]>(
          (bytes, [place, byte, how]) => {
            const at = place % bytes.length;
            const after = bytes.slice(how === "insert" ? at : at + 1);
            return [...bytes.slice(0, at), ...(how === "drop" ? [] : [byte]), ...after];
          },
          [...it.der],
        );
        try {
          const { key } = await read(it, Uint8Array.from(der));
          // A key that is accepted can be used.
          expect(publicKeyDer(key).length).toBeGreaterThan(40);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("returns a key or throws a Failure for any text", async () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----",
      ),
      fc.base64String(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), async (lines) => {
        await failureOf(() => readKey(lines.join("\n"), "it"));
      }),
      { numRuns: 500 },
    );
  });
});
