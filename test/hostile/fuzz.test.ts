import { afterAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { BitString, Constructed, Integer, ObjectIdentifier, OctetString, Sequence } from "asn1js";
import fc from "fast-check";
import { checkArguments } from "../../lib/cli/arguments.ts";
import { commonArgs, hostArgs } from "../../lib/cli/script.ts";
import { parseDuration } from "../../lib/duration.ts";
import { Failure } from "../../lib/failure.ts";
import { readJson } from "../../lib/vault/body.ts";
import { encodePath } from "../../lib/vault/path.ts";
import { parseRetryAfter } from "../../lib/vault/retry.ts";
import { Answer } from "../../lib/vault/shape.ts";
import { readCertificates } from "../../lib/x509/certificate.ts";
import { ipBytes, normalIp } from "../../lib/x509/ip-address.ts";
import { readKey } from "../../lib/x509/key.ts";
import { checkNames } from "../../lib/x509/names.ts";
import { decodePem, encodePem } from "../../lib/x509/pem.ts";
import { bothAt } from "../support/clocks.ts";
import { opensslEcKey, opensslKey } from "../support/openssl.ts";
import { createCa } from "../support/set.ts";
import { assessTexts } from "../support/stored.ts";

// Each parser gets damaged valid inputs, and noise. It may refuse any of them with a Failure. It may not
// throw anything else, take long, or keep its input. FUZZ_SEED=random, or a number, changes the seed.

const seed = seedOf(process.env.FUZZ_SEED);
/** The CPU time that one input may take. Unlike elapsed time, it does not depend on other programs. */
const longestCpuMs = 2000;

function seedOf(text: string | undefined): number {
  if (text === undefined) return 20_261_124;
  return text === "random" ? Date.now() & 0x7fffffff : Number(text);
}

const startBytes = process.memoryUsage.rss();
afterAll(() => {
  Bun.gc(true);
  expect(process.memoryUsage.rss() - startBytes).toBeLessThan(600 * 2 ** 20);
});

/**
 * Checks that a call ends with a value, or with a Failure of one line.
 *
 * @returns whether the parser accepted the input
 */
async function endsWell(call: () => unknown): Promise<boolean> {
  const began = process.cpuUsage();
  let isTaken = true;
  try {
    await call();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (/[\r\n]/.test(error.message)) throw new Error(`not one line: ${JSON.stringify(error.message)}`);
    isTaken = false;
  }
  const { user, system } = process.cpuUsage(began);
  const tookMs = (user + system) / 1000;
  if (tookMs > longestCpuMs) throw new Error(`it took ${Math.round(tookMs)} ms`);
  return isTaken;
}

async function fuzz<T>(inputs: number, arbitrary: fc.Arbitrary<T>, parse: (input: T) => unknown) {
  let taken = 0;
  const property = fc.asyncProperty(arbitrary, async (input) => {
    if (await endsWell(() => parse(input))) taken++;
  });
  await fc.assert(property, { seed, numRuns: inputs, endOnFailure: false });
  // Damage leaves some inputs valid: a parser that refuses all of them is broken, too.
  expect(taken).toBeGreaterThan(0);
}

/** Damages a string: a piece is removed, doubled or replaced. */
interface Damage {
  readonly at: number;
  readonly length: number;
  readonly how: "drop" | "double" | "replace" | "insert";
  readonly text: string;
}

function damagesOf(text: fc.Arbitrary<string>): fc.Arbitrary<readonly Damage[]> {
  const damage = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.oneof(fc.nat(3), fc.nat(200)),
    how: fc.constantFrom("drop" as const, "double" as const, "replace" as const, "insert" as const),
    text,
  });
  return fc.array(damage, { minLength: 1, maxLength: 4 });
}

function damaged(whole: string, damages: readonly Damage[]): string {
  return damages.reduce((text, { at, length, how, text: other }) => {
    const start = Math.floor(at * text.length);
    const piece = text.slice(start, start + length);
    const put = { drop: "", double: piece + piece, replace: other, insert: other + piece }[how];
    return text.slice(0, start) + put + text.slice(start + length);
  }, whole);
}

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.constantFrom(
    "\0",
    "\n",
    "%",
    "-----",
    "=",
    "/",
    "..",
    "\u202e",
    "\ud800",
    "9".repeat(400),
    "{",
    '"',
    "[",
    ",",
  ),
);

/** A valid string, damaged, or noise. */
function near(valid: readonly string[], noise = anyText): fc.Arbitrary<string> {
  const broken = fc
    .tuple(fc.constantFrom(...valid), damagesOf(noise))
    .map(([text, how]) => damaged(text, how));
  return fc.oneof({ weight: 4, arbitrary: broken }, { weight: 1, arbitrary: noise });
}

/** The same for bytes. Most mutations make an inner length wrong, some only change content. */
function nearBytes(valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), {
    minLength: 1,
    maxLength: 4,
  });
  const flipped = fc.tuple(fc.constantFrom(...valid), flips).map(([whole, changes]) => {
    const bytes = Uint8Array.from(whole);
    for (const [at, value] of changes) bytes[Math.floor(at * (bytes.length - 1))] = value;
    return bytes;
  });
  const cut = fc
    .tuple(
      fc.constantFrom(...valid),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.uint8Array({ maxLength: 8 }),
    )
    .map(([whole, at, more]) =>
      Uint8Array.from([...whole.subarray(0, Math.floor(at * whole.length)), ...more]),
    );
  return fc.oneof(
    { weight: 6, arbitrary: flipped },
    { weight: 2, arbitrary: cut },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
}

function der(pem: string): Uint8Array {
  return decodePem(pem, "the test's own")[0]?.der ?? new Uint8Array();
}

const ca = createCa();
const keyPem = opensslEcKey("P-256");
const certificatePem = ca.sign(keyPem, {
  commonName: "etcd-1",
  organisations: ["a", "b"],
  dnsNames: ["a.example.com", "*.example.com"],
  ipAddresses: ["10.0.0.1", "fd00::1"],
});
const ed25519 = der(opensslKey("ED25519"));

/** PKCS #8 version 2 with seed and public key (RFC 8410), made of random pieces. */
const version2 = fc
  .record({
    version: fc.oneof(fc.constant(1), fc.integer({ min: -1, max: 300 })),
    oid: fc.oneof(fc.constant("1.3.101.112"), fc.constantFrom("1.3.101.110", "1.2.840.10045.2.1", "2.5.4.3")),
    seed: fc.oneof(fc.constant(ed25519.slice(-34)), fc.uint8Array({ maxLength: 70 })),
    publicKey: fc.option(fc.uint8Array({ maxLength: 70 })),
    isPrimitive: fc.boolean(),
    extra: fc.option(fc.uint8Array({ maxLength: 10 })),
  })
  .map(({ version, oid, seed, publicKey, isPrimitive, extra }) => {
    const bits = publicKey === null ? [] : [new BitString({ valueHex: Uint8Array.from(publicKey).buffer })];
    const constructed = bits.map(
      (value) => new Constructed({ idBlock: { tagClass: 3, tagNumber: 1 }, value: [value] }),
    );
    const sequence = new Sequence({
      value: [
        new Integer({ value: version }),
        new Sequence({ value: [new ObjectIdentifier({ value: oid })] }),
        new OctetString({ valueHex: Uint8Array.from(seed).buffer }),
        ...(isPrimitive ? bits : constructed),
      ],
    });
    return Uint8Array.from([...new Uint8Array(sequence.toBER()), ...(extra ?? [])]);
  });

const durations = ["1h30m", "175200h", "20y", "1.5s", "10ms", "0", "1h2m3s4ms5us6ns", "100µs"];
const headers = [
  "120",
  "Wed, 21 Oct 2026 07:28:00 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT",
  "Sun Nov  6 08:49:37 1994",
];
const paths = ["demo/pki/k8s/sign/kubelet", "auth/token/create/demo-worker", "sys/mounts"];
const addresses = ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1", "1:2:3:4:5:6:7:8", "::"];

test("parseDuration() returns seconds, zero or more", () =>
  fuzz(100_000, near(durations), (text) => {
    const seconds = parseDuration(text);
    if (!(seconds >= 0 && Number.isFinite(seconds))) throw new Error(`it gives ${seconds}`);
  }));

test("parseRetryAfter() returns milliseconds, zero or more, or nothing", async () => {
  const before = Date.parse("1994-01-01T00:00:00Z");
  expect(headers.map((it) => (parseRetryAfter(it, before) ?? 0) > 0)).toEqual([true, true, true, true]);
  await fuzz(100_000, near(headers), (header) => {
    const milliseconds = parseRetryAfter(header);
    if (!((milliseconds ?? 0) >= 0 && Number.isFinite(milliseconds ?? 0)))
      throw new Error(`it gives ${milliseconds}`);
  });
});

test("encodePath() returns a path that the server reads as the same", () =>
  fuzz(100_000, near(paths), (path) => {
    const { pathname, search, hash } = new URL(`v1/${encodePath(path)}`, "http://127.0.0.1");
    if (decodeURIComponent(pathname) !== `/v1/${path}` || search + hash !== "") throw new Error(pathname);
  }));

test("ipBytes() returns 4 or 16 bytes, or nothing", async () => {
  expect(addresses.map((it) => ipBytes(it)?.length)).toEqual([4, 16, 16, 16, 16]);
  await fuzz(100_000, near(addresses), (text) => {
    const length = ipBytes(text)?.length;
    if (length !== undefined && length !== 4 && length !== 16) throw new Error(`it gives ${length} bytes`);
    if ((normalIp(text) === undefined) !== (length === undefined))
      throw new Error("normalIp() has another view");
  });
});

test("decodePem() returns blocks, or says what is wrong", async () => {
  const files = [keyPem, certificatePem, `${certificatePem}${ca.pem}`];
  expect(files.map((text) => decodePem(text, "the file").length)).toEqual([1, 1, 2]);
  await fuzz(100_000, near(files), (text) => decodePem(text, "the file"));
});

test("readCertificates() reads a certificate, or says what is wrong", async () => {
  const certificates = [der(certificatePem), der(ca.pem)];
  const read = readCertificates(`${certificatePem}${ca.pem}`, "the file");
  expect(read.map(({ commonName }) => commonName)).toEqual(["etcd-1", expect.any(String)]);
  const text = near([certificatePem, `${certificatePem}${ca.pem}`]);
  const bytes = nearBytes(certificates).map((it) => encodePem("CERTIFICATE", it));
  await fuzz(100_000, fc.oneof({ weight: 3, arbitrary: bytes }, { weight: 1, arbitrary: text }), (pem) =>
    readCertificates(pem, "the file"),
  );
});

describe("readKey()", () => {
  const keys = [der(keyPem), ed25519, der(opensslEcKey("P-384"))];

  test("reads a key, or says what is wrong", async () => {
    const text = near([keyPem]);
    const bytes = nearBytes(keys).map((it) => encodePem("PRIVATE KEY", it));
    await fuzz(85_000, fc.oneof({ weight: 3, arbitrary: bytes }, { weight: 1, arbitrary: text }), (pem) =>
      readKey(pem, "the file"),
    );
  });

  test("reads PKCS #8 of version 2, or says what is wrong", () =>
    fuzz(15_000, version2, (bytes) => readKey(encodePem("PRIVATE KEY", bytes), "the file")));
});

test("checkNames() allows only names that fit in one line", () => {
  const name = near(["etcd-1", "a.example.com", "*.example.com", "10.0.0.1"]);
  const names = fc.record({
    commonName: name,
    organisations: fc.array(name, { maxLength: 2 }),
    dnsNames: fc.array(name, { maxLength: 2 }),
    ipAddresses: fc.array(near(addresses), { maxLength: 2 }),
  });
  return fuzz(100_000, names, (asked) => {
    const { commonName, organisations, dnsNames, ipAddresses } = checkNames(asked);
    const all = [commonName, ...organisations, ...dnsNames, ...ipAddresses];
    if (all.some((it) => it === "" || /\p{Cc}/u.test(it))) throw new Error("it lets something through");
  });
});

test("checkArguments() returns a command line of known flags, each once", () => {
  const args = {
    path: { type: "positional" },
    list: { type: "string", alias: "s", list: true },
    ...hostArgs,
    ...commonArgs,
  } as const;
  const flags = Object.keys(args).map((flag) => `--${flag}`);
  const word = fc.oneof(
    near([
      ...flags,
      "--list=a",
      "-s",
      "-l=2",
      "-h",
      "--",
      "-",
      "-ls",
      "--__proto__=x",
      "--constructor",
      "--no-json",
    ]),
    fc.constantFrom("demo", "", "-1", "--toString", "--hasOwnProperty=1"),
  );
  return fuzz(100_000, fc.array(word, { maxLength: 6 }), (words) => {
    const plain = checkArguments(args, words);
    const end = plain.indexOf("--");
    const names = plain.slice(0, end).map((it) => it.replace(/=.*$/s, ""));
    const isKnown = names.every((name) => flags.includes(name)) && new Set(names).size === names.length;
    if (!isKnown || plain.length !== end + 2) throw new Error(`it gives ${JSON.stringify(plain)}`);
  });
});

describe("an answer of the server", () => {
  const request = { method: "GET", path: "sys/mounts" };
  const whole = JSON.stringify({
    request_id: "a",
    auth: { client_token: "t", accessor: "a", lease_duration: 1, renewable: true, policies: ["p"] },
    data: { keys: ["a"], ttl: 5, certificate: certificatePem, ca_chain: null },
  });

  function readAll(answer: Answer): void {
    for (const name of [...Object.keys(answer.fields), "__proto__", "constructor", "no such field"]) {
      for (const read of [
        () => readAll(answer.object(name)),
        () => answer.string(name),
        () => answer.nonEmptyString(name),
        () => answer.number(name),
        () => answer.boolean(name),
        () => answer.strings(name),
      ]) {
        try {
          read();
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
        }
      }
    }
  }

  test("that is whole is read", async () => {
    const answer = new Answer("GET sys/mounts", await readJson(new Response(whole), request));
    expect(answer.object("data").number("ttl")).toBe(5);
    expect(answer.object("data").strings("keys")).toEqual(["a"]);
    expect(answer.object("auth").boolean("renewable")).toBe(true);
  });

  test("with any bytes is read, or the message says what is wrong", () =>
    fuzz(50_000, fc.oneof(near([whole]), fc.uint8Array({ maxLength: 300 })), async (body) => {
      const value = await readJson(new Response(body), request);
      readAll(new Answer("GET sys/mounts", value));
    }));

  test("with any fields is read, or the message says what is wrong", () =>
    fuzz(
      50_000,
      fc.dictionary(
        fc.constantFrom("data", "auth", "ttl", "keys", "__proto__", "toString"),
        fc.jsonValue({ maxDepth: 1 }),
        { maxKeys: 3 },
      ),
      (value) => readAll(new Answer("GET sys/mounts", value)),
    ));
});

describe("assess() compares with the request's record", () => {
  const names = { commonName: "etcd-1", organisations: [], dnsNames: [], ipAddresses: ["10.0.0.1"] };
  const asked = { signPath: "demo/pki/k8s/sign/kubelet", names, caChain: false };
  // The quickest key, and another CA, so that no signature has to be checked each time.
  const key = opensslKey("ED25519");
  const set = { key, certificate: ca.sign(key, names), ca: createCa("/CN=another CA").pem };
  const certificate = new X509Certificate(set.certificate).fingerprint256;

  async function compare(request: string): Promise<void> {
    const { reasons } = await assessTexts({ ...set, request }, asked, bothAt());
    const [first, ...rest] = reasons;
    const isSaid = rest.every((it) =>
      /^(it came from .*|the names are not those asked for|the CA file is to hold the mount's CAs alone)$/s.test(
        it,
      ),
    );
    if (first !== "the CA file's CA did not sign it" || !isSaid) throw new Error(reasons.join());
  }

  test("that is whole, and finds nothing else", async () => {
    const request = JSON.stringify({ ...asked, certificate });
    const { reasons } = await assessTexts({ ...set, request }, asked, bothAt());
    expect(reasons).toEqual(["the CA file's CA did not sign it"]);
  });

  test("that was damaged", () => fuzz(50_000, near([JSON.stringify({ ...asked, certificate })]), compare));

  test("that holds other values than it should", () => {
    const json = fc.jsonValue({ maxDepth: 2 });
    const texts = fc.oneof(json, fc.array(fc.string(), { maxLength: 3 }));
    const lists = { organisations: texts, dnsNames: texts, ipAddresses: texts };
    const record = fc.record({
      signPath: fc.oneof(json, fc.string()),
      names: fc.oneof(json, fc.record({ commonName: fc.oneof(json, fc.string()), ...lists })),
      certificate: fc.oneof(json, fc.constant(certificate)),
    });
    const text = record.map((it) => JSON.stringify(it));
    return fuzz(50_000, text, compare);
  });
});
