import type { Reader } from "../toml/reader.ts";
import { controlPlaneName, takesInServices } from "./control-plane-names.ts";
import type { clusterFields } from "./file-fields.ts";

type FileReader = Reader<typeof clusterFields>;
type RoleReader = Reader<typeof clusterFields.pki_roles.fields>;

/**
 * Refuses what would have the hosts of a role speak for the control plane by names that nobody gave them on purpose.
 *
 * @throws Failure (config) that names the field, its place and what it allows
 */
export function checkNames(read: FileReader): void {
  checkKubeletDomains(read);
  for (const table of read.tables("pki_roles")) checkAllowedDomains(table);
}

/** Letters, digits and - in labels, as a node's name has them, and * for any text. */
function isHostPattern(domain: string): boolean {
  const isLabel = (label: string) => /^[a-z\d*](?:[a-z\d*-]*[a-z\d*])?$/i.test(label);
  return domain.length <= 253 && domain.split(".").every(isLabel);
}

/** The role `kubelet` allows each of these names and those below it; a * stands for dots and colons, too. */
function checkKubeletDomains(read: FileReader): void {
  for (const domain of read.strings("kubelet_domains")) {
    const refuse = (how: string) => {
      const hint = "write it like *.nodes.example.com";
      return read.wrong("kubelet_domains", `names ${JSON.stringify(domain)}, which ${how}: ${hint}`);
    };
    if (!isHostPattern(domain)) throw refuse("is no part of a host's name");
    const patterns = domain.includes("*") ? [domain] : [domain, `*.${domain}`];
    const name = controlPlaneName(patterns);
    if (name !== undefined) throw refuse(`allows ${name}, a name of the control plane`);
    if (patterns.some(takesInServices)) throw refuse("allows names of services, like web.default.svc");
    if (/\*[^.]*$/.test(domain))
      throw refuse("has a * without a domain behind it, and * stands for any text");
  }
}

/**
 * A name that is written whole is meant; a pattern that takes it in may not be. In the mounts of etcd, no name has
 * rights that another has not.
 */
function checkAllowedDomains(read: RoleReader): void {
  if (read.string("mount").startsWith("etcd")) return;
  const [globs, below] = [read.boolean("allow_glob_domains"), read.boolean("allow_subdomains")];
  // No host name has a colon.
  const may = (name: string) => read.boolean("enforce_hostnames") === false || !name.includes(":");
  for (const domain of read.strings("allowed_domains")) {
    const isGlob = domain.includes("*");
    const allows = isGlob ? globs : below;
    const name = allows === true ? controlPlaneName([isGlob ? domain : `*.${domain}`], may) : undefined;
    if (name === undefined) continue;
    const how = `allows ${name}, a name of the control plane: narrow it, and name that whole if it is meant`;
    throw read.wrong("allowed_domains", `has ${JSON.stringify(domain)}, which ${how}`);
  }
}
