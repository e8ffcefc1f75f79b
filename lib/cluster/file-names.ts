import type { Reader } from "../toml/reader.ts";
import { controlPlaneName, matchesServices } from "./control-plane-names.ts";
import type { clusterFields } from "./file-fields.ts";

type FileReader = Reader<typeof clusterFields>;
type RoleReader = Reader<typeof clusterFields.pki_roles.fields>;

/**
 * Refuses patterns that match a name of the control plane by accident: a host with such a certificate could act as the
 * control plane.
 *
 * @throws Failure (config) that names the field, its location and the name that it allows
 */
export function checkNames(read: FileReader): void {
  checkKubeletDomains(read);
  for (const table of read.tables("pki_roles")) checkAllowedDomains(table);
}

/** Whether a domain has only letters, digits and - in its labels, like a node's name, or * for any text. */
function isHostPattern(domain: string): boolean {
  const isLabel = (label: string) => /^[a-z\d*](?:[a-z\d*-]*[a-z\d*])?$/i.test(label);
  return domain.length <= 253 && domain.split(".").every(isLabel);
}

/** The role `kubelet` allows each domain and all names below it. A * also matches dots and colons. */
function checkKubeletDomains(read: FileReader): void {
  for (const domain of read.strings("kubelet_domains")) {
    const refuse = (how: string) => {
      const hint = "write it like *.nodes.example.com";
      return read.wrong("kubelet_domains", `has ${JSON.stringify(domain)}, which ${how}: ${hint}`);
    };
    if (!isHostPattern(domain)) throw refuse("can't be part of a host name");
    const patterns = domain.includes("*") ? [domain] : [domain, `*.${domain}`];
    const name = controlPlaneName(patterns);
    if (name !== undefined) throw refuse(`allows ${name}, a name of the control plane`);
    if (patterns.some(matchesServices)) throw refuse("allows names of services, like web.default.svc");
    if (/\*[^.]*$/.test(domain)) throw refuse("has a * without a domain after it, and * matches any text");
  }
}

/**
 * A name that is written in full is meant; one that a pattern matches may be an accident. The mounts of etcd are not
 * checked: etcd gives every name the same rights.
 */
function checkAllowedDomains(read: RoleReader): void {
  if (read.string("mount").startsWith("etcd")) return;
  const [globs, below] = [read.boolean("allow_glob_domains"), read.boolean("allow_subdomains")];
  // A host name has no colon.
  const may = (name: string) => read.boolean("enforce_hostnames") === false || !name.includes(":");
  for (const domain of read.strings("allowed_domains")) {
    const isGlob = domain.includes("*");
    const allows = isGlob ? globs : below;
    const name = allows === true ? controlPlaneName([isGlob ? domain : `*.${domain}`], may) : undefined;
    if (name === undefined) continue;
    const how = `allows ${name}, a name of the control plane: narrow it, and add that name in full if you mean it`;
    throw read.wrong("allowed_domains", `has ${JSON.stringify(domain)}, which ${how}`);
  }
}
