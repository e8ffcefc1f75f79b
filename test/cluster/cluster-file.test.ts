import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { defineCluster } from "../../lib/cluster/cluster.ts";
import { withFile } from "../../lib/cluster/cluster-file.ts";
import { clusterFields } from "../../lib/cluster/file-fields.ts";
import { furtherRole } from "../../lib/cluster/pki-roles.ts";
import type { FieldTable } from "../../lib/toml/fields.ts";
import { fileSchema, fileTable } from "../../tools/schema.ts";
import { failureOf } from "../support/failure.ts";
import { faults, type Schema } from "../support/json-schema.ts";
import { clusterFile, exampleFile } from "./file.ts";

const day = 86_400;
const ingress = '[[pki_roles]]\nmount = "k8s"\nname = "ingress"\nallow_any_name = true\n';
const registry = '[[policy_rules]]\nhosts = ["etcd"]\npath = "secrets/registry"\ncapabilities = ["read"]\n';

/** A role's table with these lines instead of the one that allows any name. */
function role(...lines: readonly string[]): string {
  return ingress.replace("allow_any_name = true", lines.join("\n"));
}

/** A rule's table with one other value. */
function rule(field: string, value: string): string {
  return registry.replace(new RegExp(`${field} = .*`), `${field} = ${value}`);
}

describe("readClusterFile()", () => {
  test("chooses nothing for an empty file", () => {
    expect(clusterFile("")).toEqual({
      name: "cluster.toml",
      id: undefined,
      choices: { kubeletDomains: [], pkiRoles: [], policyRules: [] },
      parts: { mounts: {}, roles: {} },
    });
  });

  test("reads the example, and divides it between the halves of set-up", () => {
    const { id, choices, parts } = clusterFile(exampleFile);
    expect(id).toBe("demo");
    expect(choices).toEqual({
      caValiditySeconds: 3650 * day,
      caKey: { type: "ec", bits: 384 },
      adminValiditySeconds: 90 * day,
      componentValiditySeconds: 14 * day,
      key: { type: "ec", bits: 256 },
      kubeletDomains: ["*.nodes.example.com"],
      kubeletIpSans: true,
      pkiRoles: [
        {
          mount: "k8s",
          name: "ingress",
          hosts: ["worker"],
          fields: {
            allow_bare_domains: true,
            allow_subdomains: true,
            allowed_domains: ["ingress.example.com"],
            organization: [],
          },
          validitySeconds: 7 * day,
          key: undefined,
        },
      ],
      policyRules: [{ hosts: ["etcd", "worker"], path: "secrets/registry", capabilities: ["read"] }],
    });
    expect(Object.keys(parts.mounts)).toEqual(["max_validity_ca", "ca_key_type", "ca_key_bits"]);
    expect(Object.keys(parts.roles)).toEqual([
      ...["max_validity_admin", "max_validity_components", "key_type", "kubelet_domains", "kubelet_ip_sans"],
      ...["pki_roles", "policy_rules"],
    ]);
  });

  test("keeps its parts in a form that reads back the same", () => {
    const file = clusterFile(exampleFile.replace('["*.nodes.example.com"]', '"*.nodes.example.com"'));
    expect(file.parts).toEqual(clusterFile(exampleFile).parts);
    expect(JSON.parse(JSON.stringify(file.parts))).toEqual(file.parts);
  });

  test.each([
    ["rsa", undefined, { type: "rsa", bits: 2048 }],
    ["rsa", 4096, { type: "rsa", bits: 4096 }],
    ["ec", undefined, { type: "ec", bits: 256 }],
    ["ec", 521, { type: "ec", bits: 521 }],
    ["ed25519", undefined, { type: "ed25519", bits: 0 }],
  ] as const)("reads the keys %s %p", (type, bits, wanted) => {
    const lines = (prefix: string) =>
      `${prefix}key_type = "${type}"\n${bits === undefined ? "" : `${prefix}key_bits = ${bits}\n`}`;
    expect(clusterFile(lines("")).choices.key).toEqual(wanted);
    expect(clusterFile(lines("ca_")).choices.caKey).toEqual(wanted);
    expect(clusterFile(ingress + lines("")).choices.pkiRoles?.[0]?.key).toEqual(wanted);
  });

  test("accepts every field's example", () => {
    for (const text of examples()) expect(() => clusterFile(text)).not.toThrow();
  });

  test("gives a further role the defaults of its table", () => {
    const { pki_roles: roles } = clusterFields;
    const told = Object.entries(furtherRole).map(([name]) => Object(roles.fields)[name].default);
    expect(told).toEqual(Object.values(furtherRole).map(String));
  });
});

/** Each field's example by itself, with the fields that it needs. */
function examples(): string[] {
  const lines = (fields: FieldTable) =>
    Object.entries(fields).map(([name, { example }]) => `${name} = ${example}\n`);
  const beside: Readonly<Record<string, string>> = {
    key_bits: 'key_type = "ec"\n',
    ca_key_bits: 'ca_key_type = "ec"\n',
  };
  const withNeeds = (line: string) => (beside[line.split(" ")[0] ?? ""] ?? "") + line;
  const { pki_roles: roles, policy_rules: rules, ...plain } = clusterFields;
  const { mount: _, name: __, allow_any_name: ___, ...more } = roles.fields;
  const bare = (line: string) =>
    line.startsWith("allowed_domains") ? `allow_bare_domains = true\n${line}` : line;
  return [
    ...lines(plain).map(withNeeds),
    ...lines(more).map((line) => ingress + bare(withNeeds(line))),
    `[[policy_rules]]\n${lines(rules.fields).join("")}`,
  ];
}

test.each([
  ["key-type = 'ec'", "did you mean key_type?"],
  ["max_validity_component = '7d'", "did you mean max_validity_components?"],
  [`${ingress}allowed_domain = ["a.b"]`, "did you mean allowed_domains?"],
  ["nothing_like_it = 1", undefined],
])("readClusterFile() suggests a field that is similar to an unknown one: %j", async (text, hint) => {
  const failure = await failureOf(() => clusterFile(text));
  expect([failure.kind, failure.hint]).toEqual(["config", hint]);
});

describe("readClusterFile() names file, line and field when it refuses", () => {
  test.each([
    ["ID = 1", "1: ID is not a field of a cluster file"],
    ["id = 1", "1: id has to be a non-empty string"],
    ['id = "a_b"', '1: id is wrong: "a_b" is not a cluster id'],
    ['max_validity_ca = "20"', '1: max_validity_ca is wrong: "20" is not a duration'],
    ["max_validity_ca = 20", "1: max_validity_ca has to be a non-empty string"],
    [
      'max_validity_admin = "0s"',
      "1: max_validity_admin is wrong: a validity has to be a whole number of seconds, one or more",
    ],
    [
      '\nmax_validity_components = "300y"',
      "2: max_validity_components is wrong: a validity of 9460800000 s is longer than a server can keep",
    ],
    ['key_type = "dsa"', "1: key_type has to be one of any, rsa, ec, ed25519"],
    ["key_bits = 256", "1: key_bits needs key_type as well"],
    ['key_type = "ec"\nkey_bits = 2048', "2: key_bits can't be 2048: key_type ec has 256, 384, 521"],
    ['key_type = "any"\nkey_bits = 256', "2: key_bits can't be 256: key_type any has no sizes"],
    ['ca_key_type = "any"', "1: ca_key_type has to be one of rsa, ec, ed25519"],
    [
      'ca_key_type = "rsa"\nca_key_bits = 1024',
      "2: ca_key_bits can't be 1024: ca_key_type rsa has 2048, 3072, 4096",
    ],
    ["ca_key_bits = 384", "1: ca_key_bits needs ca_key_type as well"],
    ['kubelet_ip_sans = "yes"', "1: kubelet_ip_sans has to be true or false"],
    ["kubelet_domains = [1]", "1: kubelet_domains has to be a list of non-empty strings"],
    ...["a b", "a,b", "system:node", "{{x}}", "a/b", "é", "a_b", ".a", "a.", "a..b", "-a", "a-"].map(
      (domain) =>
        [
          `kubelet_domains = ["node-1", "${domain}"]`,
          `1: kubelet_domains has "${domain}", which can't be part of a host name: write it like *.nodes.example.com`,
        ] as const,
    ),
    ...(
      [
        ["*", "system:kube-controller-manager"],
        ["s*", "system:kube-controller-manager"],
        ["S*", "system:kube-controller-manager"],
        ["*-manager", "system:kube-controller-manager"],
        ["*r", "system:kube-controller-manager"],
        ["s*scheduler", "system:kube-scheduler"],
        ["*proxy", "system:kube-proxy"],
        ["*controller", "system:serviceaccount:kube-system:clusterrole-aggregation-controller"],
        ["system*kube-system*", "system:serviceaccount:kube-system:clusterrole-aggregation-controller"],
        ["kube-apiserver", "kube-apiserver"],
        ["Admin", "admin"],
        ["kube*", "kube-controller-manager"],
        ["kubernetes", "kubernetes"],
        ["front-proxy-*", "front-proxy-client"],
        ["local*", "localhost"],
        ["default", "kubernetes.default"],
        ["svc", "kubernetes.default.svc"],
        ["*.default.svc", "kubernetes.default.svc"],
        ["local", "kubernetes.default.svc.cluster.local"],
        ["*.local", "kubernetes.default.svc.cluster.local"],
        ["cluster.local", "kubernetes.default.svc.cluster.local"],
      ] as const
    ).map(
      ([domain, name]) =>
        [
          `kubelet_domains = ["node-1", "${domain}"]`,
          `1: kubelet_domains has "${domain}", which allows ${name}, a name of the control plane: write it like`,
        ] as const,
    ),
    ...["node-*", "web.cluster.local", "*.web.svc", "*.svc.k8s.example.com", "web.svc.k8s.example.com"].map(
      (domain) =>
        [
          `kubelet_domains = ["node-1", "${domain}"]`,
          `1: kubelet_domains has "${domain}", which allows names of services, like web.default.svc: write it like`,
        ] as const,
    ),
    ...["*-node", "node-*-a", "*.example*com", "*.*a"].map(
      (domain) =>
        [
          `kubelet_domains = ["node-1", "${domain}"]`,
          `1: kubelet_domains has "${domain}", which has a * without a domain after it, and * matches any text`,
        ] as const,
    ),
    ["pki_roles = 1", "1: pki_roles has to be a list of tables"],
    ["pki_roles = [1]", "1: pki_roles has to be a list of tables"],
    ["[pki_roles]\nname = 'a'", "1: pki_roles has to be a list of tables"],
    [`${ingress}allowed = true`, "5: allowed is not a field of [[pki_roles]]"],
    [`${ingress}constructor = true`, "5: constructor is not a field of [[pki_roles]]"],
    [ingress.replace('mount = "k8s"\n', ""), "1: mount is missing"],
    [ingress.replace('name = "ingress"\n', ""), "1: name is missing"],
    [
      ingress.replace('"k8s"', '"k9s"'),
      "2: mount has to be one of etcd-k8s, etcd-overlay, k8s, k8s-api-proxy",
    ],
    ...["a/b", "-a", "a.", "a b", "é", "a*", "a..b"].map(
      (name) =>
        [
          ingress.replace("ingress", name),
          "3: name has to be letters, digits, _, single . and -, with a letter, digit or _ at both ends",
        ] as const,
    ),
    [ingress.replace("ingress", "kubelet"), "3: name can't be kubelet: that role is built into k8s"],
    [ingress + ingress, "7: name is a duplicate: k8s already has a role ingress further up"],
    [`${ingress}hosts = ["all"]`, "5: hosts has to be some of etcd, master, worker"],
    [`${ingress}max_validity = "x"`, '5: max_validity is wrong: "x" is not a duration'],
    [`${ingress}key_bits = 256`, "5: key_bits needs key_type as well"],
    [
      `${ingress}organization = [" a"]`,
      "5: organization can't have control characters, or blanks at its ends",
    ],
    [role(), "3: name belongs to a role that allows no name: set allowed_domains or allow_any_name"],
    [
      role("allow_bare_domains = true"),
      "3: name belongs to a role that allows no name: set allowed_domains or allow_any_name",
    ],
    [
      role('allowed_domains = ["a.b"]'),
      "4: allowed_domains needs one of allow_bare_domains, allow_subdomains, allow_glob_domains to allow any name",
    ],
    [
      role("allow_bare_domains = true", 'allowed_domains = ["*.b"]'),
      "5: allowed_domains has a *, which needs allow_glob_domains",
    ],
    [
      role("allow_glob_domains = true", 'allowed_domains = ["*"]'),
      '5: allowed_domains has "*", which is not a name: write it like ingress.example.com, or set allow_any_name',
    ],
    ...(
      [
        ["allow_glob_domains = true", "s*", "false", "system:kube-controller-manager"],
        ["allow_glob_domains = true", "system:*", "false", "system:kube-controller-manager"],
        ["allow_glob_domains = true", "*admin", "true", "admin"],
        ["allow_glob_domains = true", "*-scheduler", "true", "kube-scheduler"],
        ["allow_glob_domains = true", "*.svc", "true", "kubernetes.default.svc"],
        ["allow_subdomains = true", "default", "true", "kubernetes.default"],
        ["allow_subdomains = true", "svc.cluster.local", "true", "kubernetes.default.svc.cluster.local"],
      ] as const
    ).map(
      ([how, domain, isHost, name]) =>
        [
          role(how, `enforce_hostnames = ${isHost}`, `allowed_domains = ["a.example", "${domain}"]`),
          `6: allowed_domains has "${domain}", which allows ${name}, a name of the control plane: narrow it, and add that`,
        ] as const,
    ),
    [
      `${ingress}\n${ingress.replace("ingress", "b")}\nkey_type = "x"`,
      "11: key_type has to be one of any, rsa, ec, ed25519",
    ],
    [rule("hosts", "[]"), "2: hosts is missing"],
    [rule("hosts", '["init"]'), "2: hosts has to be some of etcd, master, worker"],
    [rule("capabilities", "[]"), "4: capabilities is missing"],
    [
      rule("capabilities", '["sudo"]'),
      "4: capabilities has to be some of create, read, update, patch, delete, list",
    ],
    ...[
      "/a",
      "../other/secrets/x",
      "a/../../b",
      "a//b",
      "*",
      "/",
      "a*b",
      "+/x",
      "a/+/b",
      'a\\" {',
      "a b",
      ".",
      "secrets/a..b",
      "secrets/..*",
    ].map(
      (path) =>
        [
          rule("path", `"${path}"`),
          "3: path has to be a path below the cluster's, like secrets/registry or secrets/app/*",
        ] as const,
    ),
    ...[
      "secrets/*",
      "secrets*",
      "s*",
      "secrets/init_token_*",
      "secrets/init_token_master",
      "secrets/i*",
      "secrets/cluster-file-roles",
    ].map(
      (path) =>
        [
          rule("path", `"${path}"`),
          "3: path covers the cluster's init tokens, or its stored file: no host may read them",
        ] as const,
    ),
    ...["secrets/s*", "secrets/service-accounts*"].map(
      (path) =>
        [
          rule("path", `"${path}"`),
          "3: path covers secrets/service-accounts, which is for masters only: write that path in full if you mean it",
        ] as const,
    ),
    [
      rule("path", '"secrets/e*"'),
      "3: path covers secrets/encryption-config, which is for masters only: write that path in full if you mean it",
    ],
    ...[
      "pki/*",
      "pki/k8s/*",
      "pki/k8s/roles/kubelet",
      "pki/k8s/root/generate/internal",
      "pki/k8s/sign/*",
      "p*",
      "pki*",
      "pki/k8s/sign-verbatim",
      "pki/k8s/sign-verbatim/kubelet",
      "pki/k8s/issuer/default/sign/kubelet",
      "pki/k8s/issuer/default/issue/kubelet",
      "pki/k8s/root/sign-intermediate",
      "pki/k8s/intermediate/cross-sign",
      "pki/k8s/cel/sign/any",
      "pki/k8s/sign/k*",
      "pki/k8s/sign/kubelet/",
      "pki/k8s/sign/kubelet/x",
    ].map(
      (path) =>
        [
          `${rule("path", `"${path}"`).replace("read", "update")}`,
          "3: path can grant writing in pki only on pki/MOUNT/sign/ROLE: set-up owns the rest",
        ] as const,
    ),
    ...["create", "update", "patch", "delete"].map(
      (can) =>
        [
          rule("path", '"pki/k8s/*"').replace('"read"', `"list", "${can}"`),
          "3: path can grant writing in pki only on pki/MOUNT/sign/ROLE: set-up owns the rest",
        ] as const,
    ),
    ["id = ", "1: it is not TOML: "],
  ])("%j", async (text, sentence) => {
    const { kind, message } = await failureOf(() => clusterFile(text));
    expect({ kind, message }).toEqual({
      kind: "config",
      message: expect.stringContaining(`cluster.toml:${sentence}`),
    });
  });

  test.each([
    ["k8s", "allow_bare_domains = true", "system:kube-scheduler"],
    ["k8s", "allow_bare_domains = true", "kubernetes.default.svc.cluster.local"],
    ["k8s", "allow_subdomains = true", "web.svc.cluster.local"],
    ["k8s", "allow_glob_domains = true", "*.ingress.example.com"],
    ["k8s", "allow_glob_domains = true", "system:node:*"],
    ["etcd-k8s", "allow_glob_domains = true", "kube*"],
  ])("but it accepts a name that is meant: in %s with %s, %s", (mount, how, domain) => {
    const text = role(how, "enforce_hostnames = false", `allowed_domains = ["${domain}"]`);
    expect(clusterFile(text.replace('"k8s"', `"${mount}"`)).choices.pkiRoles).toHaveLength(1);
  });

  test.each([
    ...["*.nodes.example.com", "node-*.example.com", "NODE-*.Example.com", "*.*.example.com", "*a.b"],
    ...["node-1", "a", "x1.example.com", "10.0.0.1", "kubelet", "*.eu-west-1.compute.internal", "*.lan"],
  ])("but it accepts host names: %s", (domain) => {
    expect(clusterFile(`kubelet_domains = ["${domain}"]`).choices.kubeletDomains).toEqual([domain]);
  });

  test("a very long name, without taking long", async () => {
    const long = JSON.stringify(`${"a".repeat(200_000)}!`);
    for (const text of [
      `kubelet_domains = ${long}`,
      `kubelet_domains = ${JSON.stringify("*a".repeat(100_000))}`,
      `kubelet_domains = ${JSON.stringify("*".repeat(253))}`,
      role("allow_glob_domains = true", `allowed_domains = ${JSON.stringify("*a*r".repeat(50_000))}`),
      role("allow_bare_domains = true", `allowed_domains = ${long}`),
    ])
      expect((await failureOf(() => clusterFile(text))).kind).toBe("config");
  });

  test.each([
    "secrets/registry",
    "secrets/app/*",
    "secrets/app-*",
    "secrets/service-accounts",
    "secrets/service-accounts/*",
    "secrets/",
    "pki/k8s/sign/kubelet",
    "kv/data/x",
  ])("but it accepts a rule for %s", (path) => {
    const text = rule("path", `"${path}"`).replace('"read"', '"read", "update"');
    expect(clusterFile(text).choices.policyRules).toEqual([
      { hosts: ["etcd"], path, capabilities: ["read", "update"] },
    ]);
  });
});

describe("withFile()", () => {
  const file = clusterFile('max_validity_ca = "10y"\nid = "demo"');

  test("combines the flags with the file", () => {
    const cluster = withFile(
      defineCluster("demo", { adminValiditySeconds: day, initTokens: { etcd: "e" } }),
      file,
    );
    expect(cluster).toMatchObject({
      caValiditySeconds: 3650 * day,
      adminValiditySeconds: day,
      componentValiditySeconds: 30 * day,
      initTokens: { etcd: "e" },
    });
    expect(withFile(cluster, file)).toEqual(cluster);
  });

  test("accepts a flag that agrees with the file, and refuses one that differs", async () => {
    expect(withFile(defineCluster("demo", { caValiditySeconds: 3650 * day }), file).caValiditySeconds).toBe(
      3650 * day,
    );
    const { kind, message } = await failureOf(() =>
      withFile(defineCluster("demo", { caValiditySeconds: day }), file),
    );
    expect({ kind, message }).toEqual({
      kind: "usage",
      message: "--max-validity-ca (1d) differs from max_validity_ca in cluster.toml (10y)",
    });
  });

  test("refuses another cluster", async () => {
    const { kind, message } = await failureOf(() => withFile(defineCluster("other"), file));
    expect({ kind, message }).toEqual({
      kind: "usage",
      message: "cluster.toml is for cluster demo, not for other",
    });
  });
});

describe("the schema of a cluster file", () => {
  const schema: Schema = JSON.parse(JSON.stringify(fileSchema("cluster")));
  const check = (text: string) => faults(schema, JSON.parse(JSON.stringify(Bun.TOML.parse(text))));

  test("accepts the example, an empty file, and every field's example", () => {
    expect([exampleFile, "", ...examples()].flatMap(check)).toEqual([]);
  });

  test.each([
    ["ids = 1", "ids: unknown"],
    ['key_type = "dsa"', "key_type: not one of any,rsa,ec,ed25519"],
    ['key_bits = "256"', "key_bits: not integer"],
    ["kubelet_domains = 1", "kubelet_domains: none of its kinds"],
    ["[[pki_roles]]\nmount = 'k8s'", "name: missing"],
    [`${ingress}allow = true`, "allow: unknown"],
    [rule("capabilities", '["sudo"]'), "capabilities: none of its kinds"],
  ])("refuses %j", (text, fault) => {
    expect(check(text)).toEqual([fault]);
  });

  test("is printed by the tool, and so is its table with a row for each field", () => {
    const tool = join(import.meta.dir, "../../tools/schema.ts");
    const run = (...args: string[]) =>
      Bun.spawnSync([process.execPath, tool, "cluster", ...args])
        .stdout.toString()
        .trimEnd();
    expect(JSON.parse(run())).toEqual(JSON.parse(JSON.stringify(schema)));
    const rows = run("--markdown").split("\n");
    expect(rows).toEqual(fileTable("cluster").split("\n"));
    expect(new Set(rows.map((row) => row.split(" | ").length))).toEqual(new Set([5]));
    expect(rows.length).toBe(
      2 +
        Object.values<FieldTable[string]>(clusterFields).reduce(
          (sum, { fields }) => sum + 1 + Object.keys(fields ?? {}).length,
          0,
        ),
    );
  });
});
