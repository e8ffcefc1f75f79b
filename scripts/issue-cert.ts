#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { hostClient } from "../lib/cli/host-client.ts";
import { issuedJson, issuedSentence } from "../lib/cli/issued.ts";
import { printJson } from "../lib/cli/log.ts";
import { manifestArgs } from "../lib/cli/manifest-args.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { ExitCode, Failure } from "../lib/failure.ts";
import { resolveOwnership } from "../lib/host/owner.ts";
import type { CertificateRequest } from "../lib/tasks/due.ts";
import { issueCertificate } from "../lib/tasks/issue-certificate.ts";
import { encodePath } from "../lib/vault/path.ts";
import { chooseKeyType } from "../lib/x509/key-type.ts";
import { checkNames } from "../lib/x509/names.ts";

const args = {
  "sign-path": {
    type: "positional",
    required: false,
    description: "where the role signs: CLUSTER/pki/MOUNT/sign/ROLE",
  },
  "common-name": { type: "positional", required: false, description: "common name of the certificate" },
  destination: {
    type: "positional",
    required: false,
    description: "path of the files, without -key.pem, .pem and -ca.pem",
  },
  "san-hosts": {
    type: "string",
    alias: "s",
    list: true,
    mayBeEmpty: true,
    description: "host names that the certificate is for, too",
    valueHint: "NAMES",
    group: "Names",
  },
  "ip-sans": {
    type: "string",
    alias: "i",
    list: true,
    mayBeEmpty: true,
    description: "IP addresses that it is for",
    valueHint: "ADDRESSES",
    group: "Names",
  },
  organisation: {
    type: "string",
    alias: "n",
    list: true,
    mayBeEmpty: true,
    description: "organisations in its subject, where the role leaves them open",
    valueHint: "NAMES",
    group: "Names",
  },
  "key-type": {
    type: "string",
    alias: "t",
    description: "rsa, ec or ed25519; ec for a new key, any for one that is there",
    valueHint: "TYPE",
    group: "Key",
  },
  "key-bit-size": {
    type: "string",
    alias: "b",
    description: "rsa: 2048, 3072, 4096; ec: 256, 384, 521",
    valueHint: "BITS",
    group: "Key",
  },
  "if-due": {
    type: "boolean",
    description: "issue only when less than a third of the life is left, or something asked for has changed",
    group: "When",
  },
  force: { type: "boolean", description: "make a new key, too", group: "Key" },
  "ca-chain": {
    type: "boolean",
    description: "the whole chain in the CA file, not the signer alone",
    group: "Files",
  },
  owner: {
    type: "string",
    alias: "o",
    description: "owner of the files, by name or number",
    valueHint: "USER",
    group: "Files",
  },
  group: {
    type: "string",
    alias: "g",
    description: "group of the files, by name or number",
    valueHint: "GROUP",
    group: "Files",
  },
  ...manifestArgs,
  ...hostArgs,
  json: { type: "boolean", description: "what came of it as one JSON object", group: general },
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
      "issue-cert --if-due demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd -s a.example.com -o etcd",
      "an etcd member's, when it is due",
    ],
    [
      "issue-cert --force -t rsa -b 4096 demo/pki/k8s/sign/admin admin ./admin",
      "an admin's, with a new RSA key",
    ],
    [
      "issue-cert --config-dir /etc/vault/certs.d",
      "all that is due of this host's manifests, and their hooks",
    ],
  ],
  exitCodes: [[2, "with --check: something is due"]],
  async run(args, run) {
    if (args.config !== undefined || args["config-dir"] !== undefined) {
      refuseDirectArgs(args);
      const { runManifests } = await import("../lib/cli/manifests.ts");
      return await runManifests(args, run);
    }
    // All that can be wrong with the command line, before anything is done.
    const request = requestOf(args);
    const owner = resolveOwnership(args.owner, args.group);
    const issued = await issueCertificate({
      ...request,
      client: await hostClient(args, run),
      owner,
      ifDue: args["if-due"] === true,
      force: args.force === true,
      signal: run.signal,
      onNote: run.log.note,
    });
    if (args.json === true) printJson(issuedJson(issued, request.destination));
    else run.log.done(issuedSentence(issued, request.destination));
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

function requestOf(args: Args): CertificateRequest & { readonly destination: string } {
  const { destination, "sign-path": signPath, "common-name": commonName } = args;
  if (destination === undefined || signPath === undefined || commonName === undefined) {
    throw new Failure(ExitCode.usage, "<sign-path> <common-name> <destination> are missing", {
      hint: "give them, or --config or --config-dir for manifests; see --help",
    });
  }
  if (args.check === true || args.hooks !== "now") {
    throw new Failure(ExitCode.usage, "--check and --hooks are for manifests: --config or --config-dir");
  }
  encodePath(signPath);
  const names = checkNames({
    commonName,
    organisations: list(args.organisation),
    dnsNames: list(args["san-hosts"]),
    ipAddresses: list(args["ip-sans"]),
  });
  const keyType = chooseKeyType(args["key-type"], args["key-bit-size"]);
  return { signPath, names, destination, keyType, caChain: args["ca-chain"] === true };
}

/** A flag that a manifest's field says would do nothing. */
function refuseDirectArgs(args: Args): void {
  const given = [
    ...(["sign-path", "san-hosts", "ip-sans", "organisation", "key-type", "key-bit-size"] as const),
    ...(["if-due", "force", "ca-chain", "owner", "group"] as const),
  ].find((name) => args[name] !== undefined);
  if (given === undefined) return;
  const what = given === "sign-path" ? "<sign-path>" : `--${given}`;
  throw new Failure(ExitCode.usage, `${what} does not go with manifests: they say it`);
}

function list(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((item) => item.trim());
}

if (import.meta.main) void runScript(issueCert);
