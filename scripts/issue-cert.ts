#!/usr/bin/env bun
import type { ParsedArgs } from "citty";
import { certificateArgs, certificateOrder, certificateWords } from "../lib/cli/certificate-args.ts";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostClient } from "../lib/cli/host-client.ts";
import { issuedJson, issuedSentence } from "../lib/cli/issued.ts";
import { printJson } from "../lib/cli/log.ts";
import { manifestArgs } from "../lib/cli/manifest-args.ts";
import { runManifests } from "../lib/cli/manifests.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { Failure } from "../lib/failure.ts";
import { issueCertificate } from "../lib/tasks/issue-certificate.ts";

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
    [
      "issue-cert --config-dir /etc/vault/certs.d --refresh-ca",
      "the same, and the server's CA where it is another by now, without waiting for this week's look",
    ],
  ],
  exitCodes: [[2, "with --check: something is due"]],
  async run(args, run) {
    if (args.config !== undefined || args["config-dir"] !== undefined) {
      refuseDirectArgs(args);
      return await runManifests(args, run);
    }
    // All that can be wrong with the command line, before anything is done.
    const order = orderOf(args);
    const issued = await issueCertificate({
      ...order,
      client: await hostClient(args, run),
      signal: run.signal,
      onNote: run.log.note,
    });
    if (args.json === true) printJson(issuedJson(issued, order.destination));
    else run.log.done(issuedSentence(issued, order.destination));
    return ExitCode.ok;
  },
};

type Args = ParsedArgs<typeof args>;

function orderOf(args: Args) {
  const { destination, "sign-path": signPath, "common-name": commonName } = args;
  if (destination === undefined || signPath === undefined || commonName === undefined) {
    throw new Failure("usage", "<sign-path> <common-name> <destination> are missing", {
      hint: "give them, or --config or --config-dir for manifests; see --help",
    });
  }
  if (args.check === true || args.hooks !== "now") {
    throw new Failure("usage", "--check and --hooks are for manifests: --config or --config-dir", {
      hint: "leave them out, or give one of those; vault-helper status --destination tells how a certificate stands",
    });
  }
  return certificateOrder(args, { signPath, commonName, destination });
}

/** A flag that a manifest's field says would do nothing. */
function refuseDirectArgs(args: Args): void {
  const given = [
    ...(["sign-path", "san-hosts", "ip-sans", "organisation", "key-type", "key-bit-size"] as const),
    ...(["if-due", "force", "ca-chain", "owner", "group", "key-mode"] as const),
  ].find((name) => args[name] !== undefined);
  if (given === undefined) return;
  const what = given === "sign-path" ? "<sign-path>" : `--${given}`;
  throw new Failure("usage", `${what} does not go with manifests: they say it`, {
    hint: "nothing was done; leave it out, and have the manifest say it",
  });
}

if (import.meta.main) void runScript(issueCert);
