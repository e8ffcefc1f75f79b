import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createAuthority, newCsr, type Terms } from "./authority.ts";
import { createHost, dnsName, expectNoSecret, expectRefusal, ipAddress, issue } from "./host.ts";
import { type Answer, createScriptedVault, csrOf, signed } from "./scripted-vault.ts";

// Certificates from a server that must not replace the present one.

const vault = await createScriptedVault();
const { authority } = vault;
// With the same name and another key.
const foreign = createAuthority("demo CA");
afterAll(() => {
  vault[Symbol.dispose]();
  foreign[Symbol.dispose]();
});

const issuing_ca = authority.pem;
const at = (hours: number) => new Date(Date.now() + hours * 3_600_000);
const brokenDer = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

/** The scripted CA signs our key with these options. */
function on(terms: Terms): Answer {
  return (seen) => signed({ issuing_ca, certificate: authority.sign(csrOf(seen), terms) });
}

/** Replaces parts of a right answer. */
function spoiled(fields: object | ((certificate: string) => object)): Answer {
  return (seen) => {
    const certificate = authority.sign(csrOf(seen));
    const others = typeof fields === "function" ? fields(certificate) : fields;
    return signed({ issuing_ca, certificate, ...others });
  };
}

const ofAnotherKey = authority.sign(newCsr("kubelet", `DNS:${dnsName},IP:${ipAddress}`).csr);
const ofAForeignCa: Answer = (seen) => signed({ issuing_ca, certificate: foreign.sign(csrOf(seen)) });
const cutOff = spoiled((certificate) => ({ certificate: certificate.slice(0, 200) }));

type Case = readonly [name: string, answer: Answer, sentence: RegExp, hint?: RegExp];

const cases: readonly Case[] = [
  [
    "is for another key",
    spoiled({ certificate: ofAnotherKey }),
    /is for another key/,
    /role at the sign path/,
  ],
  ["has expired", on({ from: at(-2), until: at(-1) }), /expired \d{4}-\S+, before/, /compare .* clock/],
  ["is not valid yet", on({ from: at(1) }), /begins \d{4}-\S+, in the future/, /compare .* clock/],
  ["lacks the names asked for", on({ withoutNames: true }), /lacks .*: node-1\.example\.com, 127\.0\.0\.9$/],
  ["is for another common name", on({ subject: "/CN=other" }), /lacks .*: common name kubelet$/],
  ["is signed by another CA of that name", ofAForeignCa, /is not signed by the CA that came with it$/],
  [
    "comes with another CA",
    spoiled({ issuing_ca: foreign.pem }),
    /is not signed by the CA that came with it$/,
  ],
  [
    "is not a certificate",
    spoiled({ certificate: "a text" }),
    /the server's answer holds no certificate in PEM$/,
  ],
  ["is cut off", cutOff, /the server's answer/],
  ["can't be read", spoiled({ certificate: brokenDer }), /holds a certificate that can't be read$/],
  [
    "comes with a CA that can't be read",
    spoiled({ issuing_ca: brokenDer }),
    /certificate that can't be read$/,
  ],
  ["comes with a chain of other strings", spoiled({ ca_chain: ["none"] }), /holds no certificate in PEM$/],
];

describe.concurrent("a signed certificate is refused, and the present one is kept, if it", () => {
  test.each(cases.map((it) => [it[0], it] as const))("%s", async (_, [, answer, sentence, hint]) => {
    await using server = vault.start(issue, answer);
    using host = createHost(issue, vault.issuedHost);
    expectRefusal(await host.run(server.address), { code: 65, sentence, hint });
    expect(server.seen).toHaveLength(2);
  });
});

test("a certificate that matches the request replaces the present one, and the key stays", async () => {
  await using server = vault.start(issue, vault.good);
  using host = createHost(issue, vault.issuedHost);
  const [key, certificate] = ["-key.pem", ".pem"].map((suffix) => host.destination + suffix);
  const read = (path = "") => readFileSync(path, "utf8");
  const before = [read(key), read(certificate)];
  const outcome = await host.run(server.address);
  expect(outcome).toMatchObject({ code: 0, stderr: "", isUntouched: false });
  expect(read(key)).toBe(String(before[0]));
  expect(read(certificate)).not.toBe(String(before[1]));
  expectNoSecret(outcome);
});
