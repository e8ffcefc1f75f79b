import { wrap } from "../lib/cli/wrap.ts";
import { defineCluster, hostRoles, type PolicyRole, policyRoles } from "../lib/cluster/cluster.ts";
import { controlPlaneNames } from "../lib/cluster/control-plane-names.ts";
import { pkiMountNames } from "../lib/cluster/mount-names.ts";
import { pkiMounts } from "../lib/cluster/mounts.ts";
import { pkiRoles } from "../lib/cluster/pki-roles.ts";
import { policies, policyName } from "../lib/cluster/policies.ts";
import { secrets } from "../lib/cluster/secrets.ts";
import { tokenRoles } from "../lib/cluster/token-roles.ts";
import { durationText } from "../lib/duration.ts";
import type { Fields } from "../lib/vault/shape.ts";
import { mountUses, uses } from "./components.ts";
import { block, code, table } from "./markdown.ts";

const cluster = defineCluster("demo");

/** What a host of each host role runs. */
const hosts = {
  etcd: "a member of etcd",
  master: "runs the control plane, a kubelet and kube-proxy",
  worker: "runs a kubelet and kube-proxy",
  all: "all of these on one host",
} as const;

/** The page docs/kubernetes.md, made from set-up's data and from the table of the components' needs. */
export function kubernetesPage(): string {
  const sections = [
    "# Certificates of a Kubernetes cluster",
    [
      "This page says which component of a cluster needs which certificate, where it is signed, and which hosts may ask for",
      "it. It is made from the data that set-up writes to the server. `npm run format` writes it.",
    ].join("\n"),
    [
      "How to use it: find the component under [Components](#components), and take its sign path. Look that path up under",
      "[Sign paths](#sign-paths) to see which names you may ask for, and which host role the host needs. Then write them in",
      "the host's manifest, as `sign_path`, `common_name`, `san_hosts` and `ip_sans`, or in a command as",
      "[below](#by-hand). Replace `demo` by your cluster's id.",
    ].join("\n"),
    [
      "All of this is true for a cluster that was set up without a file and without flags. A cluster file may add names",
      "for kubelets, more roles and more rules, and it may change how long certificates are valid.",
    ].join("\n"),
    "## Components",
    table(
      ["component", "sign path or secret", "common name", "what it is for"],
      uses.map(({ component, path, commonName, about }) => [
        component,
        code(`${cluster.id}/${path}`),
        commonName === undefined ? "" : code(commonName),
        about,
      ]),
    ),
    [
      "kube-apiserver takes the common name for the user's name and each organisation for a group. The names `system:…` and",
      "the groups have their rights by default. A kubelet's name is `system:node:` and the name of its node. Any common name",
      "will do for etcd.",
    ].join("\n"),
    "## Sign paths",
    table(
      ["sign path", "names that it signs", "certificates for", "valid at most", "host roles"],
      signPaths().map(({ path, fields, hostRoles }) => [
        code(path),
        namesText(fields),
        purposeText(fields),
        durationText(Number(fields.max_ttl)),
        hostRoles.join(", "),
      ]),
    ),
    [
      "A name may be the common name or a host SAN. A key may be RSA, EC or Ed25519. The common name is needed. Other",
      "parameters of a request are [limited](security-parameters.md).",
    ].join("\n"),
    "## CAs",
    "Each mount has its own CA. A host finds it in the CA file next to each certificate from that mount.",
    table(
      ["mount", "is for", "trusted by"],
      pkiMountNames.map((name, i) => [code(pkiMounts(cluster)[i]?.path ?? ""), ...mountUses[name]]),
    ),
    "## Secrets",
    "`read-secret --field FIELD` writes one to a file.",
    table(
      ["secret", "field", "host roles"],
      secrets(cluster).map(({ path, field }) => [
        code(path),
        code(field),
        rolesThatMay("read", path).join(", "),
      ]),
    ),
    "## Host roles",
    "A host's role comes from its token. It is chosen once, with the token role that the init token is exchanged for.",
    table(
      ["host role", "the host", "token role", "policies"],
      hostRoles.map((role) => [
        role,
        hosts[role],
        code(tokenRoleOf(role).name),
        policiesOf(role)
          .map((name) => code(policyName(cluster, name)))
          .join(", "),
      ]),
    ),
    "## By hand",
    [
      "These commands issue each certificate once, without manifests. A host may run those of its own role. For a",
      "kubeconfig, [`write-kubeconfig`](reference.md#write-kubeconfig) takes the same arguments and the kubeconfig's path.",
    ].join("\n"),
    block(uses.flatMap(commandLine)),
    "## Names of the control plane",
    [
      "A certificate with one of these names acts for a part of the control plane. So a cluster file is refused if it",
      "gives hosts a pattern that matches one of them:",
    ].join("\n"),
    wrap(controlPlaneNames.map(code).join(", "), 118).join("\n"),
  ];
  return `${sections.join("\n\n")}\n`;
}

function commandLine({ path, commonName }: (typeof uses)[number]): string[] {
  if (commonName === undefined) return [];
  const { mount, role } = /^pki\/(?<mount>[^/]+)\/sign\/(?<role>.+)$/.exec(path)?.groups ?? {};
  const folder = role === "server" ? "/etc/etcd/ssl" : "/etc/kubernetes/ssl";
  return [`issue-cert ${cluster.id}/${path} ${commonName} ${folder}/${mount}-${role}`];
}

interface SignPath {
  readonly path: string;
  /** The fields of the role that signs there. */
  readonly fields: Fields;
  /** The host roles that may use it. */
  readonly hostRoles: readonly string[];
}

/** Every sign path of a cluster. */
export function signPaths(): SignPath[] {
  return pkiRoles(cluster).map(({ path, fields }) => {
    const signPath = path.replace("/roles/", "/sign/");
    return { path: signPath, fields, hostRoles: rolesThatMay("update", signPath) };
  });
}

/** The host roles with a policy that grants a capability on a path. */
function rolesThatMay(capability: string, path: string): string[] {
  const granting = new Set(
    policies(cluster)
      .filter(({ text }) => grants(text, capability, path))
      .map(({ name }) => name),
  );
  return hostRoles.filter((role) => policiesOf(role).some((name) => granting.has(policyName(cluster, name))));
}

function grants(policy: string, capability: string, path: string): boolean {
  const rules = policy.matchAll(/path "([^"]+)" \{\n {2}capabilities = \[([^\]]*)\]/g);
  return [...rules].some(([, itsPath, list]) => itsPath === path && list?.includes(`"${capability}"`));
}

function tokenRoleOf(role: string) {
  const found = tokenRoles(cluster).find(({ name }) => name === `${cluster.id}-${role}`);
  if (found === undefined) throw new Error(`there is no token role for ${role}`);
  return found;
}

function policiesOf(role: string): PolicyRole[] {
  const { allowed_policies: allowed } = tokenRoleOf(role).fields;
  return policyRoles.filter((name) => Array.isArray(allowed) && allowed.includes(policyName(cluster, name)));
}

/** The names that a role signs, in words, by its fields in the server. */
function namesText(fields: Fields): string {
  const domains = Array.isArray(fields.allowed_domains) ? fields.allowed_domains.map(String) : [];
  const given = domains.filter((name) => fields.allow_glob_domains === true || !name.includes("*"));
  const names =
    fields.allow_any_name === true
      ? [fields.enforce_hostnames === true ? "any host name" : "any name"]
      : [
          ...(fields.allow_bare_domains === true ? given.map(code) : []),
          ...(fields.allow_subdomains === true ? ["names below these"] : []),
          ...(fields.allow_localhost === true ? [code("localhost")] : []),
        ];
  return [...names, fields.allow_ip_sans === true ? "IP addresses" : "no IP address"].join(", ");
}

function purposeText(fields: Fields): string {
  const sides = [
    fields.server_flag === true ? ["servers"] : [],
    fields.client_flag === true ? ["clients"] : [],
  ];
  const groups = Array.isArray(fields.organization) ? fields.organization.map(String) : [];
  return [sides.flat().join(" and "), ...groups.map((group) => `group ${code(group)}`)].join(", ");
}
