#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { certificateArgs, certificateWords, readRenewal } from "../lib/cli/certificate-args.ts";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostClient } from "../lib/cli/host-client.ts";
import { issuedJson, issuedSentence } from "../lib/cli/issued.ts";
import { printJson } from "../lib/cli/log.ts";
import { manifestArgs } from "../lib/cli/manifest-args.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { Failure } from "../lib/failure.ts";
import { renew } from "../lib/renewal/issue.ts";

const args = {
  "sign-path": { ...certificateWords["sign-path"], required: false },
  "common-name": { ...certificateWords["common-name"], required: false },
  destination: {
    type: "positional",
    required: false,
    description: "path of the files, without -key.pem, .pem and -ca.pem",
  },
  ...certificateArgs,
  ...manifestArgs,
  ...hostArgs,
  json: { type: "boolean", description: "print the outcome as one JSON object", group: general },
  ...commonArgs,
} as const;

export const issueCert: Script<typeof args> = {
  name: "issue-cert",
  description: "issue certificates for this host from a CA of the cluster",
  args,
  examples: [
    [
      "issue-cert demo/pki/k8s/sign/kubelet system:node:$(hostname) /etc/kubernetes/ssl/kubelet",
      "issue a kubelet's certificate now",
    ],
    [
      "issue-cert --if-due demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd -s a.example.com -o etcd",
      "issue an etcd member's certificate if it is due",
    ],
    [
      "issue-cert --force -t rsa -b 4096 demo/pki/k8s/sign/admin admin ./admin",
      "issue an admin's certificate with a new RSA key",
    ],
    [
      "issue-cert --config-dir /etc/vault/certs.d",
      "issue every certificate of this host's manifests that is due, and run their hooks",
    ],
    [
      "issue-cert --config-dir /etc/vault/certs.d --refresh-ca",
      "the same, and check now whether the server's CAs have changed, not only once a week",
    ],
    [
      "issue-cert --config-dir /etc/vault/certs.d --reissue",
      "replace every certificate of this host now, and run their hooks: for an emergency",
    ],
  ],
  exitCodes: [[2, "with --check: something is due"]],
  async run(args, run) {
    if (args.config !== undefined || args["config-dir"] !== undefined) {
      refuseDirectArgs(args);
      const { runManifests } = await import("../lib/cli/manifests.ts");
      return await runManifests(args, run);
    }
    // Finds every mistake in the command line before anything is done.
    const renewal = renewalOf(args);
    const client = await hostClient(args, run);
    const issued = await renew(renewal, { client, signal: run.signal, onNote: run.log.note });
    if (args.json === true) printJson(issuedJson(issued, renewal.destination));
    else run.log.done(issuedSentence(issued, renewal.destination));
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

function renewalOf(args: Args) {
  const { destination, "sign-path": signPath, "common-name": commonName } = args;
  if (destination === undefined || signPath === undefined || commonName === undefined) {
    throw new Failure("usage", "<sign-path> <common-name> <destination> are missing", {
      hint: "give all three, or --config or --config-dir for manifests; see --help",
    });
  }
  if (args.reissue === true) {
    throw new Failure("usage", "--reissue is for manifests: --config or --config-dir", {
      hint: "leave it out: a call for one certificate issues it at once, unless --if-due is given",
    });
  }
  if (args.check === true || args.hooks !== "now") {
    throw new Failure("usage", "--check and --hooks are for manifests: --config or --config-dir", {
      hint: "leave them out, or add one of those; vault-helper status --destination shows a certificate's status",
    });
  }
  return readRenewal(args, { signPath, commonName, destination });
}

/** Refuses flags for which manifests have fields: they would do nothing. */
function refuseDirectArgs(args: Args): void {
  const given = [
    ...(["sign-path", "san-hosts", "ip-sans", "organisation", "key-type", "key-bit-size"] as const),
    ...(["if-due", "force", "ca-chain", "owner", "group", "key-mode"] as const),
  ].find((name) => args[name] !== undefined);
  if (given === undefined) return;
  const what = given === "sign-path" ? "<sign-path>" : `--${given}`;
  throw new Failure("usage", `${what} can't be used with manifests: they have a field for it`, {
    hint: "nothing was done; leave it out, and set it in the manifest",
  });
}

if (import.meta.main) void runScript(issueCert);
