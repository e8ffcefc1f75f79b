import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Identity, makeCa, makeIdentity, makeLeaf } from "../support/chain.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl } from "../support/openssl.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import { type ScriptedServer, startScripted } from "../support/scripted.ts";

// Which servers are trusted, by the CAs that the environment names.

const folder = temporaryFolder();
const root = makeCa(folder.path, "root");
const intermediate = makeCa(folder.path, "intermediate", root);
const leaf = makeLeaf(folder.path, "leaf", intermediate);
const sibling = makeLeaf(folder.path, "sibling", intermediate);
const foreign = makeCa(folder.path, "foreign");
const broken = `-----BEGIN CERTIFICATE-----\n${btoa("no certificate")}\n-----END CERTIFICATE-----\n`;

const server = serve(leaf, intermediate);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function serve(identity: Identity, ...above: Identity[]): ScriptedServer {
  const cert = [identity, ...above].map((it) => it.cert).join("");
  return startScripted(() => Response.json({ request_id: "a", data: { value: "yes" } }), {
    cert,
    key: identity.key,
  });
}

async function read(
  env: Readonly<Record<string, string>>,
  { address }: { address: string } = server,
): Promise<ScriptResult> {
  const given = { VAULT_ADDR: address, VAULT_TOKEN: "hvs.secret", VAULT_MAX_RETRIES: "0", ...env };
  return await runScript("read-secret", ["-p", folder.path, "-f", "value", "kv/a"], { env: given });
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder.path, name);
  writeFileSync(path, content);
  return path;
}

function folderOf(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  for (const [entry, text] of Object.entries(files)) writeFileSync(join(path, entry), text);
  return path;
}

const yes = { code: 0, stdout: "yes" };

describe.concurrent("a CA file", () => {
  test.each([
    ["with a byte order mark", `\ufeff${root.cert}`],
    ["with indented lines", root.cert.replace(/^/gm, "    ")],
    ["with CRLF", root.cert.replaceAll("\n", "\r\n")],
    ["with text around it", `subject=root\n\n${root.cert}# the end\n`],
    ["without a line feed at its end", root.cert.trimEnd()],
    ["in one long line", root.cert.replace(/(?<=[A-Za-z0-9+/=])\n(?=[A-Za-z0-9+/=])/g, "")],
    ["with the old label", root.cert.replaceAll(" CERTIFICATE", " X509 CERTIFICATE")],
    ["with a key beside it", root.key + root.cert],
    [
      "with an encrypted key beside it",
      openssl(["ec", "-aes256", "-passout", "pass:x"], root.key) + root.cert,
    ],
    ["behind another CA, with a byte order mark in between", `${foreign.cert}\ufeff${root.cert}`],
  ])("%s is used", async (what, text) => {
    expect(await read({ VAULT_CACERT: file(`${what}.pem`, text) })).toMatchObject(yes);
  });

  test.each([
    [
      "encoded as DER",
      Uint8Array.from(Buffer.from(root.cert.replace(/-----.*|\s/g, ""), "base64")),
      "looks like DER",
    ],
    ["in UTF-16", Buffer.from(`\ufeff${root.cert}`, "utf16le"), ""],
    ["without content", "", ""],
    ["with a key alone", root.key, ""],
    ["with a broken certificate", broken, ""],
    ["with a broken certificate behind a right one", root.cert + broken, ""],
    ["with a right certificate behind a broken one", broken + root.cert, ""],
    ["cut off", root.cert.slice(0, -30), ""],
    ["with OpenSSL's own kind", openssl(["x509", "-trustout"], root.cert), "makes a plain certificate"],
  ])("%s is refused, naming the file", async (what, content, hint) => {
    const path = file(`${what}.pem`, content);
    for (const name of ["VAULT_CACERT", "SSL_CERT_FILE"]) {
      const { code, stderr } = await read({ [name]: path });
      expect(stderr).toContain(`${name} names ${JSON.stringify(path)}`.replace(/"(\S*)"/, "$1"));
      expect(stderr).toContain(hint);
      expect(code).toBe(78);
    }
  });
});

describe.concurrent("a certificate that is named", () => {
  test.each([
    ["the root", root],
    ["the intermediate CA", intermediate],
    ["the server's own", leaf],
  ])("is trusted by itself: %s", async (_what, { file, cert }) => {
    expect(await read({ VAULT_CACERT: file })).toMatchObject(yes);
    expect(await read({ VAULT_CACERT_BYTES: cert })).toMatchObject(yes);
    expect(await read({ BAO_CAPATH: file })).toMatchObject(yes);
    expect(await read({ SSL_CERT_FILE: file })).toMatchObject(yes);
  });

  test("is trusted without its chain, and so is a self-signed one that is not a CA", async () => {
    await using bare = serve(leaf);
    expect(await read({ VAULT_CACERT: intermediate.file }, bare)).toMatchObject(yes);
    const own = makeLeaf(folder.path, "own");
    await using self = serve(own);
    expect(await read({ VAULT_CACERT: own.file }, self)).toMatchObject(yes);
  });

  test.each<[string, () => ScriptedServer, Identity, string]>([
    ["another server of the same CA", () => serve(sibling, intermediate), leaf, "no trusted CA has signed"],
    ["one of another CA", () => serve(leaf, intermediate), foreign, "no trusted CA has signed"],
    [
      "the same server by another name",
      () => serve(makeLeaf(folder.path, "named", intermediate, "DNS:vault.test"), intermediate),
      intermediate,
      "for another name",
    ],
    [
      "one below a CA that is not a CA",
      () => {
        const none = makeIdentity(folder.path, "none", {
          signer: root,
          extensions: ["basicConstraints=CA:FALSE"],
        });
        return serve(makeLeaf(folder.path, "below", none), none);
      },
      root,
      "is not usable for a server (INVALID_PURPOSE",
    ],
    [
      "one for clients only",
      () => {
        const extensions = ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=clientAuth"];
        return serve(makeIdentity(folder.path, "client-only", { signer: root, extensions }));
      },
      root,
      "is not usable for a server (INVALID_PURPOSE",
    ],
  ])("is the only one trusted: %s", async (_what, start, { file }, sentence) => {
    await using other = start();
    const { code, stderr } = await read({ VAULT_CACERT: file }, other);
    expect(stderr).toContain(sentence);
    expect(code).toBe(69);
    expect(other.seen).toEqual([]);
  });
});

describe.concurrent("a refusal of the server's certificate", () => {
  test("names the file that was used and the issuer that was shown", async () => {
    const { stderr } = await read({ VAULT_CACERT: foreign.file });
    expect(stderr).toContain(`its issuer is "CN=intermediate"; trusted here: VAULT_CACERT (${foreign.file})`);
    expect(stderr).toContain(
      "if VAULT_ADDR is right, add the CA that signed the server's certificate to VAULT_CACERT",
    );
    expect(stderr).not.toContain("set VAULT_CACERT");
  });

  test("advises naming a CA if none is named", async () => {
    const { stderr } = await read({});
    expect(stderr).toContain('its issuer is "CN=intermediate"; trusted here: the system\'s store');
    expect(stderr).toContain("set VAULT_CACERT to the CA's file");
  });

  test("distinguishes an expired CA from an expired certificate", async () => {
    const expired = makeIdentity(folder.path, "expired", {
      extensions: ["basicConstraints=critical,CA:TRUE"],
      days: -1,
    });
    await using below = serve(makeLeaf(folder.path, "fresh", expired));
    const { stderr } = await read({ VAULT_CACERT: expired.file }, below);
    expect(stderr).toContain("shows a certificate whose CA has expired");
    const gone = makeIdentity(folder.path, "gone", {
      signer: root,
      extensions: ["subjectAltName=IP:127.0.0.1"],
      days: -1,
    });
    await using old = serve(gone);
    expect((await read({ VAULT_CACERT: root.file }, old)).stderr).toContain(
      "shows a certificate that has expired",
    );
  });

  test("names the expected name, and those in the certificate", async () => {
    const { stderr } = await read({ VAULT_CACERT: root.file, VAULT_TLS_SERVER_NAME: "vault.test" });
    expect(stderr).toContain('another name than VAULT_TLS_SERVER_NAME "vault.test"');
    expect(stderr).toContain("127.0.0.1");
  });
});

describe.concurrent("VAULT_CACERT_BYTES", () => {
  test("is used, after VAULT_CACERT and before VAULT_CAPATH", async () => {
    expect(await read({ VAULT_CACERT_BYTES: root.cert, VAULT_CAPATH: foreign.file })).toMatchObject(yes);
    expect(await read({ VAULT_CACERT_BYTES: foreign.cert, VAULT_CACERT: root.file })).toMatchObject(yes);
    const { code, stderr } = await read({ BAO_CACERT_BYTES: foreign.cert, VAULT_CAPATH: root.file });
    expect([code, stderr]).toEqual([69, expect.stringContaining("trusted here: BAO_CACERT_BYTES")]);
  });

  test.each([
    ["a path", root.file],
    ["base64", btoa(root.cert)],
    ["a broken certificate", broken],
  ])("is refused, naming the variable, if it holds %s", async (_what, text) => {
    const { code, stderr } = await read({ VAULT_CACERT_BYTES: text });
    expect(stderr).toContain("VAULT_CACERT_BYTES");
    expect(stderr).not.toContain("no CA trusted here");
    expect(code).toBe(78);
  });

  test("is taken from the host's configuration", async () => {
    const config = folderOf("with-bytes", { config: `VAULT_CACERT_BYTES="${root.cert}"\n` });
    const env = { VAULT_ADDR: server.address, VAULT_TOKEN: "hvs.secret" };
    expect(await runScript("read-secret", ["-p", config, "-f", "value", "kv/a"], { env })).toMatchObject(yes);
  });
});

describe.concurrent("VAULT_ADDR", () => {
  test.each([
    ["a blank before it", (address: string) => ` ${address}`],
    ["a line feed behind it", (address: string) => `${address}\n`],
    ["a slash and a tab behind it", (address: string) => `${address}/\t`],
    ["capitals", (address: string) => address.replace("https", "HTTPS")],
  ])("with %s is the same server, and its CA is checked", async (_what, change) => {
    expect(await read({ VAULT_CACERT: root.file, VAULT_ADDR: change(server.address) })).toMatchObject(yes);
    const { code, stderr } = await read({ VAULT_CACERT: foreign.file, VAULT_ADDR: change(server.address) });
    expect([code, stderr]).toEqual([69, expect.stringContaining("no trusted CA has signed")]);
  });

  test.each([
    ["quotes", (address: string) => `"${address}"`],
    ["a line feed in it", (address: string) => address.replace("127", "127\n")],
    ["a line feed in its scheme", (address: string) => address.replace("https", "ht\ntps")],
    ["one slash", (address: string) => address.replace("//", "/")],
    ["backslashes", (address: string) => address.replace("//", "\\\\")],
    ["a path", (address: string) => `${address}/v1`],
    ["a socket", () => "unix:///run/vault.sock"],
  ])("with %s is refused", async (_what, change) => {
    const { code, stderr } = await read({ VAULT_CACERT: root.file, VAULT_ADDR: change(server.address) });
    expect(stderr).toContain("set VAULT_ADDR to one like");
    expect(code).toBe(78);
  });

  test("prints no password from an invalid address", async () => {
    const { stderr } = await read({ VAULT_ADDR: "https://user:s3cret@127.0.0.1:99999" });
    expect(stderr).toContain("is not the address of a server");
    expect(stderr).not.toContain("s3cret");
  });
});

describe.concurrent("a folder of CAs", () => {
  test("may have folders in it, and links that lead in circles", async () => {
    const path = folderOf("nested", {});
    folderOf("nested/below", { "root.pem": root.cert });
    symlinkSync(path, join(path, "round"));
    symlinkSync("..", join(path, "below/up"));
    expect(await read({ VAULT_CAPATH: path })).toMatchObject({ ...yes, stderr: "" });
  });

  test("is refused for a broken link in it, by the link's name", async () => {
    for (const [name, target] of [
      ["gone.pem", "/nowhere"],
      ["self.pem", "self.pem"],
    ] as const) {
      const path = folderOf(`dangling-${name}`, { "root.pem": root.cert });
      symlinkSync(target, join(path, name));
      const { code, stderr } = await read({ VAULT_CAPATH: path });
      expect(stderr).toContain(join(path, name));
      expect(code).toBe(78);
    }
  });

  test("leaves out files in sub-folders that are no CAs, and says so", async () => {
    const path = folderOf("others", { "root.pem": root.cert });
    const java = folderOf("others/java", { cacerts: "\xfe\xed\xfe\xed" });
    const { stderr, ...outcome } = await read({ VAULT_CAPATH: path });
    expect(outcome).toMatchObject(yes);
    expect(stderr).toContain(`${join(java, "cacerts")}, which holds no certificate`);
    expect(stderr).toContain("left out");
  });

  test("names the file that is broken", async () => {
    const path = folderOf("one-broken", { "a.pem": root.cert, "b.pem": broken });
    const { code, stderr } = await read({ VAULT_CAPATH: path });
    expect(stderr).toContain(
      `VAULT_CAPATH names ${join(path, "b.pem")}, which holds a certificate that can't be read`,
    );
    expect(code).toBe(78);
  });
});

describe.concurrent("a client certificate", () => {
  const encrypted = (...args: string[]) => openssl([...args, "-passout", "pass:x"], leaf.key);

  test.each([
    [
      "whose key belongs to another certificate",
      leaf.cert,
      root.key,
      "does not belong to the certificate in VAULT_CLIENT_CERT",
    ],
    [
      "that is not the first in its file",
      intermediate.cert + leaf.cert,
      leaf.key,
      "has to come first in its file",
    ],
    ["that is broken", broken, leaf.key, "VAULT_CLIENT_CERT names"],
    ["whose key is encrypted", leaf.cert, encrypted("pkcs8", "-topk8"), "whose key is encrypted"],
    [
      "whose key is encrypted in the old way",
      leaf.cert,
      encrypted("ec", "-aes256"),
      "whose key is encrypted",
    ],
    ["whose key is a certificate", leaf.cert, leaf.cert, "holds no private key"],
    [
      "whose key is broken",
      leaf.cert,
      broken.replaceAll("CERTIFICATE", "PRIVATE KEY"),
      "VAULT_CLIENT_KEY names",
    ],
    ["that is a key", leaf.key, leaf.key, "VAULT_CLIENT_CERT names"],
  ])("%s is refused for good", async (what, cert, key, sentence) => {
    const env = { VAULT_CLIENT_CERT: file(`${what}.crt`, cert), VAULT_CLIENT_KEY: file(`${what}.key`, key) };
    const { code, stderr } = await read({ VAULT_CACERT: root.file, ...env });
    expect(stderr).toContain(sentence);
    expect(code).toBe(78);
  });

  test("is used with any layout of its files", async () => {
    const env = {
      VAULT_CLIENT_CERT: file("client.crt", `\ufeff${leaf.cert}`),
      VAULT_CLIENT_KEY: file("client.key", `note\n${leaf.key.replaceAll("\n", "\r\n")}`),
    };
    expect(await read({ VAULT_CACERT: root.file, ...env })).toMatchObject(yes);
  });
});
