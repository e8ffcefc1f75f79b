import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfigFile } from "../../lib/cli/config-file.ts";
import type { Environment } from "../../lib/cli/variable.ts";
import { temporaryFolder } from "../support/folder.ts";

/** The variables that a file with these lines adds to an environment. */
function added(lines: readonly string[], env: Environment = {}) {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "config"), `${lines.join("\n")}\n`, { mode: 0o600 });
  const { variables, failure } = readConfigFile(folder.path, env);
  expect(failure).toBe(undefined);
  return variables;
}

describe("readConfigFile()", () => {
  test("reads every variable about the server's address and connection, and the host's role", () => {
    const names = [
      ...[
        "ADDR",
        "NAMESPACE",
        "CACERT",
        "CACERT_BYTES",
        "CAPATH",
        "PROXY_ADDR",
        "HTTP_PROXY",
        "CLIENT_CERT",
        "CLIENT_KEY",
      ],
      ...["TLS_SERVER_NAME", "SKIP_VERIFY", "CLIENT_TIMEOUT", "MAX_RETRIES", "INIT_ROLE"],
    ].flatMap((name) => [`VAULT_${name}`, `BAO_${name}`]);
    const proxies = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"];
    const all = [...names, "SSL_CERT_FILE", ...proxies];
    const variables = Object.fromEntries(all.map((name) => [name, `of ${name}`]));
    expect(added(all.map((name) => `${name}=of ${name}`))).toEqual(variables);
  });

  test("reads no other variable: no token, none that turns TLS off, none that runs code", () => {
    const others = [
      ...["VAULT_TOKEN", "BAO_TOKEN", "VAULT_TOKEN_FILE", "BAO_TOKEN_FILE", "CREDENTIALS_DIRECTORY", "HOME"],
      ...["NODE_TLS_REJECT_UNAUTHORIZED", "BUN_OPTIONS", "BUN_CONFIG_VERBOSE_FETCH", "NODE_OPTIONS", "PATH"],
      ...[
        "LD_PRELOAD",
        "NODE_EXTRA_CA_CERTS",
        "vault_addr",
        "XVAULT_ADDR",
        "VAULT_ADDRESS",
        "VAULT_constructor",
      ],
    ];
    expect(added(others.map((name) => `${name}=0`))).toEqual({});
  });

  test.each<[Environment, string]>([
    [{ VAULT_ADDR: "mine" }, "VAULT_ADDR=theirs"],
    [{ VAULT_ADDR: "mine" }, "BAO_ADDR=theirs"],
    [{ BAO_ADDR: "mine" }, "VAULT_ADDR=theirs"],
    [{ VAULT_CAPATH: "mine" }, "VAULT_CACERT=theirs"],
    [{ VAULT_CACERT: "mine" }, "BAO_CAPATH=theirs"],
    [{ VAULT_CLIENT_CERT: "mine" }, "VAULT_CLIENT_KEY=theirs"],
    [{ VAULT_SKIP_VERIFY: "false" }, "VAULT_SKIP_VERIFY=true"],
    [{ https_proxy: "mine" }, "HTTPS_PROXY=theirs"],
    [{ https_proxy: "mine" }, "VAULT_PROXY_ADDR=theirs"],
    [{ HTTP_PROXY: "mine" }, "BAO_HTTP_PROXY=theirs"],
    [{ VAULT_HTTP_PROXY: "mine" }, "VAULT_PROXY_ADDR=theirs"],
    [{ VAULT_CACERT: "mine" }, "VAULT_CACERT_BYTES=theirs"],
    [{ BAO_CACERT_BYTES: "mine" }, "VAULT_CACERT=theirs"],
    [{ SSL_CERT_FILE: "mine" }, "SSL_CERT_FILE=theirs"],
    [{ BAO_INIT_ROLE: "mine" }, "VAULT_INIT_ROLE=theirs"],
  ])("prefers the environment's %j to the file's %s", (env, line) => {
    expect(added([line, "VAULT_MAX_RETRIES=7"], env)).toEqual({ VAULT_MAX_RETRIES: "7" });
  });

  const ofOneServer = ["VAULT_TLS_SERVER_NAME=theirs", "BAO_SKIP_VERIFY=true"];

  test.each<[string, Environment, readonly string[]]>([
    ["another server", { VAULT_ADDR: "https://b" }, ["VAULT_NAMESPACE"]],
    [
      "the same server",
      { VAULT_ADDR: "https://a" },
      ["BAO_SKIP_VERIFY", "VAULT_NAMESPACE", "VAULT_TLS_SERVER_NAME"],
    ],
    ["a CA", { VAULT_CACERT: "mine" }, ["VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_TLS_SERVER_NAME"]],
  ])(
    "does not apply the file's TLS settings to another server if the environment names %s",
    (_, env, left) => {
      const lines = ["VAULT_ADDR=https://a", "VAULT_NAMESPACE=n", ...ofOneServer];
      expect(Object.keys(added(lines, env)).sort()).toEqual([...left]);
    },
  );

  test("reads a variable that is empty in the environment, because empty counts as not set", () => {
    expect(added(["VAULT_ADDR=theirs"], { VAULT_ADDR: "", BAO_ADDR: "" })).toEqual({ VAULT_ADDR: "theirs" });
  });

  test("is empty without a file, and says why an existing file is not used", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "config");
    expect(readConfigFile(folder.path, {})).toEqual({ path, variables: {} });
    writeFileSync(path, "VAULT_ADDR=theirs\n");
    Bun.spawnSync(["chmod", "0666", path]);
    const { variables, failure } = readConfigFile(folder.path, {});
    expect([variables, failure?.message]).toEqual([{}, `${path} can be written by others`]);
    mkdirSync(join(folder.path, "open"), { mode: 0o777 });
    Bun.spawnSync(["chmod", "0777", join(folder.path, "open")]);
    symlinkSync("..", join(folder.path, "open/link"));
    expect(readConfigFile(join(folder.path, "open/link"), {}).failure?.message).toContain("symbolic link");
  });
});
