import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serverSettings } from "../../lib/cli/environment.ts";
import { makeCertificates } from "../support/certificates.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";

const prefixes = ["VAULT", "BAO"];
const folder = temporaryFolder();
const one = makeCertificates(folder.path, "one");
const two = makeCertificates(folder.path, "two");
afterAll(() => folder[Symbol.dispose]());

function file(name: string, text: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, text);
  return path;
}

function folderOf(name: string, files: Record<string, string>): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  for (const [entry, text] of Object.entries(files)) writeFileSync(join(path, entry), text);
  return path;
}

/** The settings for a server with TLS, at the default address. */
function tlsOf(env: Record<string, string>) {
  return serverSettings(env).tls;
}

function refusalOf(env: Record<string, string>) {
  return failureOf(() => tlsOf(env));
}

describe.each(prefixes)("serverSettings() with %s_ variables for TLS", (prefix) => {
  test("trusts only the CA in the file of CACERT", () => {
    expect(tlsOf({ [`${prefix}_CACERT`]: one.caFile }).ca).toEqual([one.ca]);
  });

  test("trusts each CA in the folder of CAPATH", () => {
    const path = folderOf(`${prefix}-cas`, { "one.pem": one.ca, "two.crt": two.ca });
    expect(tlsOf({ [`${prefix}_CAPATH`]: path }).ca?.toSorted()).toEqual([one.ca, two.ca].toSorted());
  });

  test("trusts the CA in the file of CAPATH", () => {
    expect(tlsOf({ [`${prefix}_CAPATH`]: two.caFile }).ca).toEqual([two.ca]);
  });

  test("prefers CACERT to CAPATH", () => {
    const env = { [`${prefix}_CACERT`]: one.caFile, [`${prefix}_CAPATH`]: two.caFile };
    expect(tlsOf(env).ca).toEqual([one.ca]);
  });

  test("presents the client certificate", () => {
    const env = { [`${prefix}_CLIENT_CERT`]: one.certFile, [`${prefix}_CLIENT_KEY`]: one.keyFile };
    expect(tlsOf(env)).toMatchObject({ cert: one.cert, key: one.key });
  });

  test("expects the name from TLS_SERVER_NAME", () => {
    expect(tlsOf({ [`${prefix}_TLS_SERVER_NAME`]: "vault.test" }).serverName).toBe("vault.test");
  });

  test.each([
    ["1", true],
    ["t", true],
    ["TRUE", true],
    ["true", true],
    ["0", false],
    ["f", false],
    ["False", false],
    ["", false],
  ])("reads SKIP_VERIFY=%s", (text, skipVerify) => {
    expect(tlsOf({ [`${prefix}_SKIP_VERIFY`]: text }).skipVerify).toBe(skipVerify);
  });

  test.each(["yes", "2", "on", " true", "truefalse"])("refuses SKIP_VERIFY=%s", async (text) => {
    const failure = await refusalOf({ [`${prefix}_SKIP_VERIFY`]: text });
    expect(failure.message).toBe(
      `${prefix}_SKIP_VERIFY is ${JSON.stringify(text)}, which is neither true nor false`,
    );
    expect(failure.kind).toBe("config");
  });

  test.each(["CLIENT_CERT", "CLIENT_KEY"])("refuses %s without the other", async (name) => {
    const failure = await refusalOf({ [`${prefix}_${name}`]: one.certFile });
    expect(failure.message).toContain("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together");
    expect(failure.kind).toBe("config");
  });

  test.each(["CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY"])(
    "names %s if its file is missing",
    async (name) => {
      const missing = join(folder.path, "missing.pem");
      const env = {
        [`${prefix}_CLIENT_CERT`]: one.certFile,
        [`${prefix}_CLIENT_KEY`]: one.keyFile,
        [`${prefix}_${name}`]: missing,
      };
      const failure = await refusalOf(env);
      expect(failure.message).toStartWith(
        `can't read what ${prefix}_${name} names, ${missing}: no such file`,
      );
      expect(failure.kind).toBe("config");
    },
  );

  test.each(["CACERT", "CAPATH"])("refuses a file of %s that holds no certificate", async (name) => {
    for (const [what, text] of [
      ["empty", ""],
      ["text", "nothing in PEM\n"],
      ["key", one.key],
      ["cut", one.ca.slice(0, -20)],
      ["broken", one.ca.replace("MII", "M*I").replace("MIIB", "M*IB")],
    ] as const) {
      const path = file(`${prefix}-${name}-${what}.pem`, text);
      const failure = await refusalOf({ [`${prefix}_${name}`]: path });
      expect(failure.message).toBe(
        `${prefix}_${name} names ${path}, which holds no certificate in PEM, or a broken one`,
      );
      expect(failure.kind).toBe("config");
    }
  });

  test("refuses a CAPATH folder without files, or with a file that is not a certificate", async () => {
    const empty = folderOf(`${prefix}-empty`, {});
    expect((await refusalOf({ [`${prefix}_CAPATH`]: empty })).message).toBe(
      `${prefix}_CAPATH names ${empty}, which holds no file`,
    );
    const mixed = folderOf(`${prefix}-mixed`, { "one.pem": one.ca, README: "none" });
    expect((await refusalOf({ [`${prefix}_CAPATH`]: mixed })).message).toContain(join(mixed, "README"));
  });

  test("reads none of these files for a server without TLS", () => {
    const missing = "/nonexistent/ca.pem";
    const env = { VAULT_ADDR: "http://127.0.0.1:8200", [`${prefix}_CACERT`]: missing };
    expect(serverSettings(env).tls).toEqual({});
  });
});

describe("serverSettings() with no CA named", () => {
  const bundle = "/etc/ssl/certs/ca-certificates.crt";

  test("trusts the system's store", () => {
    const { ca } = tlsOf({});
    if (existsSync(bundle)) expect(ca).toEqual([readFileSync(bundle, "utf8")]);
    else expect(ca?.length).toBeLessThanOrEqual(1);
  });

  test("trusts what SSL_CERT_FILE names instead", () => {
    expect(tlsOf({ SSL_CERT_FILE: one.caFile }).ca).toEqual([one.ca]);
  });

  test("prefers a named CA to SSL_CERT_FILE", () => {
    expect(tlsOf({ SSL_CERT_FILE: one.caFile, VAULT_CACERT: two.caFile }).ca).toEqual([two.ca]);
  });

  test("trusts no other CAs if the file of SSL_CERT_FILE is missing", async () => {
    const failure = await refusalOf({ SSL_CERT_FILE: "/nonexistent/ca.pem" });
    expect(failure.message).toContain("SSL_CERT_FILE names, /nonexistent/ca.pem");
    expect(failure.kind).toBe("config");
  });
});

describe("serverSettings() with a mounted secret in CAPATH", () => {
  test("reads each file once, through the links that lead to it", () => {
    const path = folderOf("mounted", {});
    mkdirSync(join(path, "..2025"));
    writeFileSync(join(path, "..2025", "ca.crt"), one.ca);
    symlinkSync("..2025", join(path, "..data"));
    symlinkSync("..data/ca.crt", join(path, "ca.crt"));
    expect(tlsOf({ VAULT_CAPATH: path }).ca).toEqual([one.ca]);
  });
});
