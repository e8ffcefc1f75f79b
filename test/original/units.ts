// What Tarmak 0.6 wrote on its hosts, by its Puppet modules vault_client and tarmak: the text of their units, word for
// word where the Go tool is called, for a cluster `test` in AWS.

/** A unit's name and its text. */
export interface Unit {
  readonly name: string;
  readonly text: string;
}

/** A certificate or a secret, and the owner of its files. */
interface Wanted {
  readonly name: string;
  readonly uid: number;
}

export interface WantedCertificate extends Wanted {
  readonly restarts?: string;
  readonly role: string;
  readonly commonName: string;
  /** The path of its files without their endings. */
  readonly base: string;
  readonly hosts?: readonly string[];
  readonly addresses?: readonly string[];
}

interface WantedSecret extends Wanted {
  readonly path: string;
  readonly field: string;
  readonly file: string;
}

function service(description: string, more: readonly string[]): string {
  return [
    "[Unit]",
    `Description=${description}`,
    "Wants=network-online.target",
    "After=network.target network-online.target",
    "",
    "[Service]",
    "Type=oneshot",
    ...more,
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}

export const tokenRenewal: Unit = {
  name: "token-renewal.service",
  text: service("vault token renewal service", [
    "EnvironmentFile=/etc/vault/config",
    `ExecStart=/opt/bin/vault-helper renew-token --init-role=\${VAULT_INIT_ROLE}`,
  ]),
};

export function certificateUnit({ name, uid, restarts, ...wanted }: WantedCertificate): Unit {
  const { role, commonName, base, hosts = [], addresses = [] } = wanted;
  return {
    name: `${name}-cert.service`,
    text: service(`certificate service ${name}`, [
      "EnvironmentFile=/etc/vault/config",
      "ExecStart=/opt/bin/vault-helper cert \\",
      `  ${role} \\`,
      `  ${commonName} \\`,
      `  ${base} \\`,
      ...(hosts.length === 0 ? [] : [`  '--san-hosts=${hosts.join(",")}' \\`]),
      ...(addresses.length === 0 ? [] : [`  '--ip-sans=${addresses.join(",")}' \\`]),
      "  --key-type=rsa \\",
      "  --key-bit-size=2048 \\",
      `  --owner=${uid} --group=0`,
      "",
      "",
      ...(restarts === undefined ? [] : [`ExecStartPost=-/bin/systemctl --no-block try-restart ${restarts}`]),
    ]),
  };
}

export function secretUnit({ name, path, field, file, uid }: WantedSecret): Unit {
  return {
    name: `${name}-secret.service`,
    text: service(`secret service ${name}`, [
      "RemainAfterExit=yes",
      "EnvironmentFile=/etc/vault/config",
      `ExecStart=/opt/bin/vault-helper read ${path} -f ${field} -d ${file} --owner=${uid} --group=0`,
    ]),
  };
}

export const [etcdUser, kubernetesUser] = [873, 837];
const [etcdSsl, kubernetesSsl] = ["/etc/etcd/ssl", "/etc/kubernetes/ssl"];
const address = "10.99.37.81";
const fqdn = "ip-10-99-37-81.eu-west-2.compute.internal";

function etcdMember(name: string, mount: string, restarts: string): WantedCertificate {
  return {
    name,
    uid: etcdUser,
    role: `test/pki/${mount}/sign/server`,
    commonName: "etcd-server",
    base: `${etcdSsl}/${mount}`,
    hosts: ["etcd-1.test.example.com", fqdn, "localhost"],
    addresses: ["127.0.0.1", address],
    restarts,
  };
}

function component(name: string, more: Partial<WantedCertificate> = {}): WantedCertificate {
  return {
    name,
    uid: kubernetesUser,
    role: `test/pki/k8s/sign/${name}`,
    commonName: `system:${name}`,
    base: `${kubernetesSsl}/${name}`,
    restarts: `${name}.service`,
    ...more,
  };
}

function etcdClient(name: string, mount: string, uid: number, folder: string): WantedCertificate {
  return {
    name,
    uid,
    role: `test/pki/${mount}/sign/client`,
    commonName: "etcd-client",
    base: `${folder}/${mount}`,
    hosts: ["master-1.test.example.com"],
    addresses: [address],
  };
}

const overlayClient = etcdClient("etcd-overlay", "etcd-overlay", etcdUser, etcdSsl);

const onWorkers: readonly WantedCertificate[] = [
  component("kube-proxy"),
  component("kubelet", { commonName: `system:node:${fqdn}`, hosts: [fqdn] }),
  overlayClient,
];

const onMasters: readonly WantedCertificate[] = [
  component("kube-controller-manager"),
  component("kube-scheduler"),
  component("kube-apiserver", {
    hosts: [
      "api.test.example.com",
      "kubernetes",
      "kubernetes.default",
      "kubernetes.default.svc",
      "kubernetes.default.svc.cluster.local",
      "localhost",
    ],
    addresses: [address, "10.254.0.1", "127.0.0.1"],
  }),
  component("kube-apiserver-proxy", {
    role: "test/pki/k8s-api-proxy/sign/kube-apiserver",
    commonName: "kube-apiserver-proxy",
  }),
  component("kube-admin", { role: "test/pki/k8s/sign/admin", commonName: "admin" }),
  etcdClient("etcd-apiserver", "etcd-k8s", kubernetesUser, kubernetesSsl),
];

/** The certificates of a host, by its role. */
export const certificates = {
  etcd: [
    etcdMember("etcd-k8s-main", "etcd-k8s", "etcd-k8s-main.service etcd-k8s-events.service"),
    etcdMember("etcd-k8s-overlay", "etcd-overlay", "etcd-overlay.service"),
  ],
  master: [...onMasters, ...onWorkers],
  worker: onWorkers,
} as const satisfies Record<string, readonly WantedCertificate[]>;

/** The secrets of a master. */
export const secrets: readonly WantedSecret[] = [
  {
    name: "kube-service-account-key",
    path: "test/secrets/service-accounts",
    field: "key",
    file: `${kubernetesSsl}/service-account-key.pem`,
    uid: kubernetesUser,
  },
  {
    name: "kube-encryption-config-file",
    path: "test/secrets/encryption-config",
    field: "content",
    file: "/etc/kubernetes/encryption-config.yaml",
    uid: kubernetesUser,
  },
];

/** The EnvironmentFile. Without an init token it names no role. */
export function configFile(server: string, initRole: string | undefined): string {
  return [
    `VAULT_ADDR=${server}`,
    ...(initRole === undefined ? [] : [`VAULT_INIT_ROLE=${initRole}`]),
    "VAULT_CAPATH=/etc/vault/ca.pem",
    "",
  ].join("\n");
}

/** The words of a unit's ExecStart as systemd reads them: lines joined, quotes removed, variables replaced. */
export function execStart({ name, text }: Unit, env: Readonly<Record<string, string>>): string[] {
  const [, line] = /^ExecStart=((?:.*\\\n)*.*)$/m.exec(text) ?? [];
  if (line === undefined) throw new Error(`${name} starts nothing`);
  const words = line.replaceAll("\\\n", " ").match(/'[^']*'|\S+/g) ?? [];
  return words.map((word) =>
    word.replace(/^'(.*)'$/, "$1").replaceAll(/\$\{(\w+)\}/g, (_, variable) => env[variable] ?? ""),
  );
}
