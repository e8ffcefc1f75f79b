#!/usr/bin/env bun
import { givenToken, variable } from "../lib/cli/environment.ts";
import { commonArgs, hostArgs, type Run, runScript, type Script } from "../lib/cli/script.ts";
import { ExitCode } from "../lib/failure.ts";
import { resolveOwnership } from "../lib/host/owner.ts";
import { keepHostToken } from "../lib/tasks/host-token.ts";
import { type Issued, issueCertificate } from "../lib/tasks/issue-certificate.ts";
import type { VaultClient } from "../lib/vault/client.ts";
import { encodePath } from "../lib/vault/path.ts";
import { chooseKeyType, keyTypeName } from "../lib/x509/key-type.ts";
import { checkNames } from "../lib/x509/names.ts";

const args = {
  "sign-path": {
    type: "positional",
    required: true,
    description: "where the role signs: CLUSTER/pki/MOUNT/sign/ROLE",
  },
  "common-name": { type: "positional", required: true, description: "common name of the certificate" },
  destination: {
    type: "positional",
    required: true,
    description: "path of the files, without -key.pem, .pem and -ca.pem",
  },
  "san-hosts": {
    type: "string",
    alias: "s",
    list: true,
    description: "host names that the certificate is for, too",
    valueHint: "NAMES",
  },
  "ip-sans": {
    type: "string",
    alias: "i",
    list: true,
    description: "IP addresses that it is for",
    valueHint: "ADDRESSES",
  },
  organisation: {
    type: "string",
    alias: "n",
    list: true,
    description: "organisations in its subject, where the role leaves them open",
    valueHint: "NAMES",
  },
  "key-type": {
    type: "string",
    alias: "t",
    description: "rsa, ec or ed25519; ec for a new key, any for one that is there",
    valueHint: "TYPE",
  },
  "key-bit-size": {
    type: "string",
    alias: "b",
    description: "rsa: 2048, 3072, 4096; ec: 256, 384, 521",
    valueHint: "BITS",
  },
  "if-due": {
    type: "boolean",
    description: "issue only when less than a third of the life is left, or something asked for has changed",
  },
  force: { type: "boolean", description: "make a new key, too" },
  "ca-chain": { type: "boolean", description: "the whole chain in the CA file, not the signer alone" },
  owner: {
    type: "string",
    alias: "o",
    description: "owner of the files, by name or number",
    valueHint: "USER",
  },
  group: {
    type: "string",
    alias: "g",
    description: "group of the files, by name or number",
    valueHint: "GROUP",
  },
  json: { type: "boolean", description: "what came of it as one JSON object" },
  ...hostArgs,
  ...commonArgs,
} as const;

export const issueCert: Script<typeof args> = {
  name: "issue-cert",
  description: "have this host's key signed by a CA of the cluster",
  args,
  examples: [
    [
      "issue-cert demo/pki/k8s/sign/kubelet system:node:$(hostname) /etc/kubernetes/ssl/kubelet",
      "a kubelet's certificate, now",
    ],
    [
      "issue-cert --if-due demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd -s etcd-1.example.com -i 10.0.0.1 -o etcd",
      "an etcd member's, when it is due",
    ],
    [
      "issue-cert --force -t rsa -b 4096 demo/pki/k8s/sign/admin admin ./admin",
      "an admin's, with a new RSA key",
    ],
  ],
  async run(args, run) {
    // All that can be wrong with the command line, before anything is done.
    encodePath(args["sign-path"]);
    const names = checkNames({
      commonName: args["common-name"],
      organisations: list(args.organisation),
      dnsNames: list(args["san-hosts"]),
      ipAddresses: list(args["ip-sans"]),
    });
    const keyType = chooseKeyType(args["key-type"], args["key-bit-size"]);
    const owner = resolveOwnership(args.owner, args.group);
    const issued = await issueCertificate({
      client: await clientFor(args, run),
      signPath: args["sign-path"],
      names,
      keyType,
      destination: args.destination,
      owner,
      ifDue: args["if-due"] === true,
      force: args.force === true,
      caChain: args["ca-chain"] === true,
      signal: run.signal,
      onNote: run.log.note,
    });
    if (args.json === true) console.log(JSON.stringify(result(issued, args.destination)));
    else run.log.done(sentence(issued, args.destination));
    return ExitCode.ok;
  },
};

/** An admin's VAULT_TOKEN is used as it is; a host's own is kept alive first. */
async function clientFor(
  args: { "config-path": string; "init-role"?: string | undefined },
  { client, env, signal, log }: Run,
): Promise<VaultClient> {
  const given = givenToken(env);
  if (given !== undefined) return client(given);
  const tokenless = client();
  const { token } = await keepHostToken({
    client: tokenless,
    configPath: args["config-path"],
    initRole: args["init-role"] ?? variable(env, "INIT_ROLE"),
    signal,
    onNote: log.note,
  });
  return tokenless.withToken(token);
}

function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((item) => item.trim());
}

function sentence(
  { outcome, certificate, dueAt, reasons, keyType, keyKept }: Issued,
  destination: string,
): string {
  const until = `valid until ${day(certificate.notAfter)}, due ${day(dueAt)}`;
  if (outcome === "not due") return `${destination}.pem is not due: ${until}`;
  const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  const key =
    keyType === undefined ? "" : `, ${keyTypeName(keyType)} key ${keyKept === true ? "kept" : "made"}`;
  return `${destination}.pem issued${why}: ${until}${key}`;
}

function day(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function result({ outcome, certificate, dueAt, reasons, keyType, keyKept }: Issued, destination: string) {
  return {
    outcome,
    destination,
    serialNumber: certificate.x509.serialNumber.toLowerCase(),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    dueAt,
    reasons,
    ...(keyType === undefined ? {} : { keyType: keyTypeName(keyType), keyKept }),
  };
}

if (import.meta.main) void runScript(issueCert);
