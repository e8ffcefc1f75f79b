import { type ClusterFile, readClusterFile } from "../../lib/cluster/cluster-file.ts";
import { locationOf, parseToml } from "../../lib/toml/parse.ts";

/** Reads a string as the file `cluster.toml`. */
export function clusterFile(text: string): ClusterFile {
  return readClusterFile(
    {
      what: "a cluster file",
      values: parseToml(text, "cluster.toml"),
      location: (field, within) => locationOf(field, text, "cluster.toml", within),
    },
    "cluster.toml",
  );
}

/** The example of docs/admins.md, with every field. */
export const exampleFile = `id = "demo"
max_validity_ca = "10y"
ca_key_type = "ec"
ca_key_bits = 384
max_validity_admin = "90d"
max_validity_components = "14d"
key_type = "ec"
kubelet_domains = ["*.nodes.example.com"]
kubelet_ip_sans = true

[[pki_roles]]
mount = "k8s"
name = "ingress"
hosts = ["worker"]
allowed_domains = ["ingress.example.com"]
allow_bare_domains = true
allow_subdomains = true
max_validity = "7d"

[[policy_rules]]
hosts = ["etcd", "worker"]
path = "secrets/registry"
capabilities = ["read"]
`;
