import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fields } from "../../lib/manifest/fields.ts";
import { type Manifest, parseManifest } from "../../lib/manifest/manifest.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { file, host, needed, parse, textOf } from "./read.ts";

test("parseManifest() needs three fields, and uses defaults for the others", () => {
  expect(parse()).toEqual({
    name: "kubelet",
    file,
    signPath: "demo/pki/k8s/sign/kubelet",
    names: { commonName: "kubelet", organisations: [], dnsNames: [], ipAddresses: [] },
    destination: "/etc/ssl/kubelet",
    keyType: undefined,
    caChain: false,
    owner: undefined,
    keyMode: 0o600,
    renew: "due",
    windows: [],
    hooks: [],
    hookTimeoutSeconds: 60,
  });
});

describe("parseManifest() reads", () => {
  const cases: ReadonlyArray<readonly [field: string, value: string, what: Partial<Manifest>]> = [
    ["sign_path", '"a/b/sign/c"', { signPath: "a/b/sign/c" }],
    ["key_mode", '"0640"', { keyMode: 0o640 }],
    ["key_mode", '"0400"', { keyMode: 0o400 }],
    ["common_name", "'it'", { names: { ...parse().names, commonName: "it" } }],
    ["organisation", '["a", "b"]', { names: { ...parse().names, organisations: ["a", "b"] } }],
    ["san_hosts", '["a.b", "*.c"]', { names: { ...parse().names, dnsNames: ["a.b", "*.c"] } }],
    ["san_hosts", '"one"', { names: { ...parse().names, dnsNames: ["one"] } }],
    ["ip_sans", '["10.0.0.1", "::1"]', { names: { ...parse().names, ipAddresses: ["10.0.0.1", "::1"] } }],
    ["destination", '"/a//b/./c"', { destination: "/a/b/c" }],
    ["key_type", '"rsa"', { keyType: { type: "rsa", bits: 2048 } }],
    ["key_bit_size", "384", { keyType: { type: "ec", bits: 384 } }],
    ["ca_chain", "true", { caChain: true }],
    ["ca_chain", "false", { caChain: false }],
    ["owner", '"daemon"', { owner: { uid: 1, gid: process.getgid?.() ?? 0 } }],
    ["group", '"4321"', { owner: { uid: process.getuid?.() ?? 0, gid: 4321 } }],
    ["renew", '"always"', { renew: "always" }],
    ["window", '"02:00-04:00"', { windows: [expect.objectContaining({ startMinute: 120, endMinute: 240 })] }],
    ["reload", '"etcd.service"', { hooks: [{ kind: "reload", unit: "etcd.service", onCaOnly: false }] }],
    ["restart", '["a@b.service"]', { hooks: [{ kind: "restart", unit: "a@b.service", onCaOnly: false }] }],
    ["reload_on_ca", '"a.service"', { hooks: [{ kind: "reload", unit: "a.service", onCaOnly: true }] }],
    ["restart_on_ca", '"a.service"', { hooks: [{ kind: "restart", unit: "a.service", onCaOnly: true }] }],
    [
      "on_change",
      '[["/bin/sh", "-c", "x y"]]',
      { hooks: [{ kind: "command", command: ["/bin/sh", "-c", "x y"] }] },
    ],
    ["hook_timeout", '"1m30s"', { hookTimeoutSeconds: 90 }],
  ];

  test.each(cases)("%s = %s", (field, value, what) => {
    expect(parse({ [field]: value })).toEqual({ ...parse(), ...what });
  });

  test("every field in the table of fields", () => {
    expect([...new Set(cases.map(([field]) => field))].sort()).toEqual(Object.keys(fields).sort());
  });

  test.each(Object.entries(fields).filter(([name]) => name !== "on_change"))(
    "the example in the table for %s",
    (name, { example }) => {
      // This host may not have the users that the examples name.
      const value = ["owner", "group"].includes(name) ? '"root"' : example;
      expect(parse({ ...(name === "key_bit_size" ? { key_type: '"ec"' } : {}), [name]: value }).file).toBe(
        file,
      );
    },
  );

  test("hooks in the order reload, restart, commands", () => {
    const { hooks } = parse({
      on_change: '[["/bin/true"], ["/bin/false"]]',
      restart: '"b.service"',
      reload: '"a.service"',
    });
    expect(hooks.map((hook) => ("unit" in hook ? hook.unit : hook.command[0]))).toEqual([
      "a.service",
      "b.service",
      "/bin/true",
      "/bin/false",
    ]);
  });
});

test("parseManifest() accepts an empty argument of a command", () => {
  expect(parse({ on_change: '[["/bin/true", ""]]' }).hooks).toEqual([
    { kind: "command", command: ["/bin/true", ""] },
  ]);
});

describe("parseManifest() resolves", () => {
  test.each([
    ["common_name", '"%H"', "node-7.example.com"],
    ["common_name", '"system:node:%l"', "system:node:node-7"],
    ["common_name", '"100%%"', "100%"],
    ["organisation", '["%l"]', "node-7"],
    ["san_hosts", '["%l.local"]', "node-7.local"],
    ["ip_sans", '["%4"]', "10.0.0.7"],
    ["ip_sans", '["%6"]', "fd00::7"],
    ["destination", '"/etc/ssl/%l"', "/etc/ssl/node-7"],
  ])("%s = %s", (field, value, resolved) => {
    const { names, destination } = parse({ [field]: value });
    const all = [
      names.commonName,
      names.organisations,
      names.dnsNames,
      names.ipAddresses,
      destination,
    ].flat();
    expect(all).toContain(resolved);
  });

  test("only the fields that the table marks", () => {
    const resolving = Object.entries(fields).flatMap(([name, field]) =>
      "specifiers" in field ? [name] : [],
    );
    expect(resolving.sort()).toEqual(["common_name", "destination", "ip_sans", "organisation", "san_hosts"]);
  });

  test.each([
    ["common_name", '"%x"', "%x can't be resolved: there is no such specifier"],
    ["common_name", '"50%"', "% can't be resolved: there is no such specifier"],
    ["san_hosts", '["ok", "%h"]', "%h can't be resolved: there is no such specifier"],
    ["ip_sans", '"%6"', "%6 can't be resolved: this host has no IPv6 address"],
    ["ip_sans", '"%4"', "%4 can't be resolved: this host has no IPv4 address"],
  ])("not %s = %s when the host has no such fact", async (field, value, words) => {
    const nobody = { hostName: "", ipv4: undefined, ipv6: undefined };
    const failure = await failureOf(() => parse({ [field]: value }, nobody));
    expect([failure.kind, failure.message]).toEqual([
      "config",
      `${file}:${lineOf(field)}: ${field} is wrong: ${words}`,
    ]);
    expect(failure.hint).toContain("use %H");
  });

  test("a node's name to lower case, without a dot at the end", () => {
    const named = { hostName: "IP-10-0-0-7.", ipv4: undefined, ipv6: undefined };
    const { names, destination } = parse(
      { common_name: '"system:node:%H"', san_hosts: '["%H"]', destination: '"/etc/ssl/%H/x"' },
      named,
    );
    expect(names.commonName).toBe("system:node:ip-10-0-0-7");
    expect(names.dnsNames).toEqual(["IP-10-0-0-7"]);
    expect(destination).toBe("/etc/ssl/IP-10-0-0-7./x");
  });

  test("the common name to an address, and adds it to the IP SANs", () => {
    expect(parse({ common_name: '"%4"' }).names).toMatchObject({ ipAddresses: ["10.0.0.7"] });
  });
});

/** The line of a field in the output of `textOf`. Required fields keep their line. */
function lineOf(field: string): number {
  const at = Object.keys(needed).indexOf(field);
  return at === -1 ? 4 : at + 1;
}

describe("parseManifest() refuses with file, line and field", () => {
  test.each([
    ["sign_path", "7", "has to be a non-empty string"],
    ["common_name", '["a"]', "has to be a non-empty string"],
    ["destination", "true", "has to be a non-empty string"],
    ["sign_path", '""', "has to be a non-empty string"],
    ["san_hosts", "1", "has to be a list of non-empty strings"],
    ["san_hosts", '["a", 1]', "has to be a list of non-empty strings"],
    ["ip_sans", '[""]', "has to be a list of non-empty strings"],
    ["organisation", "{a = 1}", "has to be a list of non-empty strings"],
    ["key_type", "2", "has to be a non-empty string"],
    ["key_bit_size", '"256"', "has to be a whole number"],
    ["key_bit_size", "256.5", "has to be a whole number"],
    ["ca_chain", '"yes"', "has to be true or false"],
    ["owner", "0", "has to be a non-empty string"],
    ["group", "[]", "has to be a non-empty string"],
    ["key_mode", "416", "has to be a non-empty string"],
    ["key_mode", '"0644"', "has to be one of 0600, 0640, 0400, 0440"],
    ["key_mode", '"0660"', "has to be one of 0600, 0640, 0400, 0440"],
    ["renew", "true", "has to be a non-empty string"],
    ["window", "02:00:00", "has to be a list of non-empty strings"],
    ["reload", '[["a.service"]]', "has to be a list of non-empty strings"],
    ["restart", "false", "has to be a list of non-empty strings"],
    ["on_change", '["/bin/true"]', "has to be a list of commands, each a list of strings"],
    ["on_change", '"/bin/true"', "has to be a list of commands, each a list of strings"],
    ["hook_timeout", "60", "has to be a non-empty string"],
  ])("%s = %s: the wrong type", async (field, value, words) => {
    const { kind, message } = await failureOf(() => parse({ [field]: value }));
    expect([kind, message]).toEqual(["config", `${file}:${lineOf(field)}: ${field} ${words}`]);
  });

  test.each([
    ["sign_path", '"demo//sign/kubelet"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/pki/%l/sign/a"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/pki/k8s/kubelet"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/../sign/a"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/./pki/sign/a"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/pki/sign/.."', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/pki/sign/a?x"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"/demo/pki/sign/a"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"sign/a"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/sign/a/"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["sign_path", '"demo/sign/a\\nb"', "has to be MOUNT/sign/ROLE, like demo/pki/k8s/sign/kubelet"],
    ["common_name", '"a\\nb"', 'is wrong: "a\\nb" can\'t be the common name of a certificate'],
    ["organisation", '[" "]', 'is wrong: " " can\'t be the organisation of a certificate'],
    ["san_hosts", '["a", "b c"]', 'is wrong: "b c" can\'t be the host name of a certificate'],
    ["ip_sans", '"10.0.0"', 'is wrong: "10.0.0" can\'t be the IP address of a certificate'],
    ["destination", '"ssl/kubelet"', "has to be an absolute path, since units have no working folder"],
    ["destination", '"/etc/ssl/"', "is wrong: \"/etc/ssl/\" can't be a certificate's destination"],
    ["key_type", '"dsa"', "has to be one of rsa, ec, ed25519"],
    ["key_bit_size", "1024", "is wrong: there is no key type of 1024 bits"],
    ["owner", '"nobody-has-this-name"', 'is wrong: there is no user "nobody-has-this-name" on this host'],
    ["group", '"nobody-has-this-name"', 'is wrong: there is no group "nobody-has-this-name" on this host'],
    ["renew", '"daily"', "has to be one of due, always"],
    ["window", '"Sun"', 'is wrong: "Sun" is not a window of time'],
    [
      "window",
      '["Sun 02:00-04:00", "Mon 02:00-02:00"]',
      'is wrong: the window "Mon 02:00-02:00" never opens',
    ],
    ["reload", '"etcd"', 'names "etcd", which is not a unit: write its full name, like etcd.service'],
    [
      "restart",
      '["a.service", "etcd.conf"]',
      'names "etcd.conf", which is not a unit: write its full name, like etcd.service',
    ],
    [
      "restart",
      '"-H.service"',
      'names "-H.service", which is not a unit: write its full name, like etcd.service',
    ],
    [
      "restart",
      '"../a.service"',
      'names "../a.service", which is not a unit: write its full name, like etcd.service',
    ],
    ["on_change", "[[]]", "holds an empty command"],
    ["on_change", '[[""]]', 'names "", which is not the absolute path of an executable file'],
    [
      "on_change",
      '[["/bin/true", "a\\u0000b"]]',
      "holds a null character, which can't be passed to a program",
    ],
    ["on_change", '[["true"]]', 'names "true", which is not the absolute path of an executable file'],
    [
      "on_change",
      '[["/bin/true"], ["/etc/passwd"]]',
      'names "/etc/passwd", which is not the absolute path of an executable file',
    ],
    ["on_change", '[["/etc"]]', 'names "/etc", which is not the absolute path of an executable file'],
    [
      "on_change",
      '[["/no/such/program"]]',
      'names "/no/such/program", which is not the absolute path of an executable file',
    ],
    ["hook_timeout", '"60"', 'is wrong: "60" is not a duration'],
    ["hook_timeout", '"0s"', "has to be more than 0 and at most 24d"],
    ["hook_timeout", '"30d"', "has to be more than 0 and at most 24d"],
  ])("%s = %s", async (field, value, words) => {
    const { kind, message } = await failureOf(() => parse({ [field]: value }));
    expect([kind, message]).toEqual(["config", `${file}:${lineOf(field)}: ${field} ${words}`]);
  });

  test("a size that doesn't exist for the key type", async () => {
    const { message } = await failureOf(() => parse({ key_type: '"rsa"', key_bit_size: "384" }));
    expect(message).toBe(`${file}:5: key_bit_size is wrong: there is no rsa key of 384 bits`);
  });

  test("a hook that is not executable", async () => {
    using folder = temporaryFolder();
    mkdirSync(join(folder.path, "bin"));
    const hook = join(folder.path, "bin/hook");
    writeFileSync(hook, "#!/bin/sh\n", { mode: 0o644 });
    const value = { on_change: JSON.stringify([[hook]]) };
    expect((await failureOf(() => parse(value))).message).toContain(
      `:4: on_change names "${hook}", which is not`,
    );
    chmodSync(hook, 0o755);
    expect(parse(value).hooks).toEqual([{ kind: "command", command: [hook] }]);
  });

  test.each(Object.keys(needed))("%s missing", async (field) => {
    const { kind, message } = await failureOf(() => parse({ [field]: undefined }));
    expect([kind, message]).toEqual(["config", `${file}:1: ${field} is missing`]);
  });

  test.each([
    ["renewal = 1", 4, "renewal"],
    ["\n\n  [hooks]\nrenew = 'due'", 6, "hooks"],
    ["[[certificate]]\na = 1", 4, "certificate"],
    ['"two words" = 1', 4, '"two words"'],
    ["hooks.reload = 1", 4, "hooks"],
    ["__proto__ = 1", 4, "__proto__"],
    ["constructor = 1", 4, "constructor"],
    ["# owner = 1\nownership = 'x'", 5, "ownership"],
    // The line of the field itself, not of one with the same beginning.
    ["renew = 'due'\nrenewx = 1", 5, "renewx"],
  ])("an unknown field: %j", async (lines, line, field) => {
    const { kind, message } = await failureOf(() => parseManifest(`${textOf()}${lines}\n`, file, host));
    expect([kind, message]).toEqual(["config", `${file}:${line}: ${field} is not a field of a manifest`]);
  });

  test.each([
    ["key-type = 'ec'", "did you mean key_type?"],
    ["comon_name = 'a'", "did you mean common_name?"],
    ["[hooks]\nrestart = []", undefined],
  ])("an unknown field, and suggests a similar one: %j", async (lines, hint) => {
    const failure = await failureOf(() => parseManifest(`${textOf()}${lines}\n`, file, host));
    expect([failure.kind, failure.hint]).toEqual(["config", hint]);
  });

  test("a field whose name begins another field's name, with its own line", async () => {
    const text = `${textOf()}key_type_of_old = 1\nkey_type = 1\n`;
    const known = text.replace("key_type_of_old = 1", "# key_type");
    expect((await failureOf(() => parseManifest(known, file, host))).message).toContain(":5: key_type has");
  });
});

describe("parseManifest() names the line that is not TOML:", () => {
  test.each([
    ["a string without an end", 'owner = "etcd', 4, "Unterminated string"],
    ["no value", "owner =", 4, ""],
    ["no equals sign", "\nowner", 5, "Expected '='"],
    ["a field twice", 'sign_path = "x"', 4, "Cannot redefine key"],
    ["a word without quotes", "owner = etcd", 4, "Strings must be quoted"],
    ["the start of a list without an end", 'window = [\n  "a",\nowner = "b"', 4, ""],
    ["two fields on a line", 'owner = "a" group = "b"', 4, ""],
  ])("%s", async (_, lines, line, words) => {
    const { kind, message } = await failureOf(() => parseManifest(`${textOf()}${lines}\n`, file, host));
    expect(kind).toBe("config");
    expect(message).toStartWith(`${file}:${line}: it is not TOML: `);
    expect(message).toContain(words);
  });

  test("the first of several", async () => {
    expect((await failureOf(() => parseManifest("nonsense\n", file, host))).message).toContain(
      `${file}:1: it is not`,
    );
  });
});

test("parseManifest() accepts Windows line ends and a byte order mark", () => {
  expect(parseManifest(`\ufeff${textOf().replaceAll("\n", "\r\n")}`, file, host)).toEqual(parse());
});
