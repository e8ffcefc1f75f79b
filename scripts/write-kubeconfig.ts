#!/usr/bin/env bun
import { certificateArgs, certificateWords, readRenewal } from "../lib/cli/certificate-args.ts";
import { ExitCode } from "../lib/cli/exit-code.ts";
import { hostClient } from "../lib/cli/host-client.ts";
import { issuedJson, issuedSentence } from "../lib/cli/issued.ts";
import { kubeconfigArgs, kubeconfigOf } from "../lib/cli/kubeconfig-args.ts";
import { printJson } from "../lib/cli/log.ts";
import { commonArgs, general, hostArgs, runScript, type Script } from "../lib/cli/script.ts";
import { issueKubeconfig } from "../lib/tasks/issue-kubeconfig.ts";

const args = {
  ...certificateWords,
  "cert-path": {
    type: "positional",
    required: true,
    description: "path of the certificate's files, without -key.pem, .pem and -ca.pem",
  },
  kubeconfig: { type: "positional", required: true, description: "path of the kubeconfig" },
  ...kubeconfigArgs,
  ...certificateArgs,
  ...hostArgs,
  json: { type: "boolean", description: "print the outcome as one JSON object", group: general },
  ...commonArgs,
} as const;

export const writeKubeconfig: Script<typeof args> = {
  name: "write-kubeconfig",
  description: "issue a certificate from a CA of the cluster, and write a kubeconfig that uses it",
  args,
  examples: [
    [
      "write-kubeconfig demo/pki/k8s/sign/kube-scheduler system:kube-scheduler /etc/kubernetes/ssl/scheduler /etc/kubernetes/scheduler.conf",
      "a scheduler's kubeconfig, for the API server on its own host",
    ],
    [
      "write-kubeconfig --if-due --no-embed --server https://api.example.com:6443 demo/pki/k8s/sign/kubelet system:node:$(hostname) /etc/kubernetes/ssl/kubelet /etc/kubernetes/kubelet.conf",
      "a kubelet's, if its certificate is due; the kubelet reads the new certificate by itself",
    ],
    [
      "write-kubeconfig --merge --server https://api.example.com:6443 --user-name demo-admin demo/pki/k8s/sign/admin admin ~/.kube/demo ~/.kube/config",
      "an admin's, next to the other clusters in the file",
    ],
  ],
  async run(args, run) {
    // Finds every mistake in the command line before anything is done.
    const renewal = readRenewal(args, {
      signPath: args["sign-path"],
      commonName: args["common-name"],
      destination: args["cert-path"],
    });
    const access = kubeconfigOf(args, renewal.signPath);
    const written = await issueKubeconfig(
      { ...access, path: args.kubeconfig, configPath: args["config-path"], timeLeftMs: run.timeLeftMs },
      renewal,
      { signal: run.signal, onNote: run.log.note },
      () => hostClient(args, run),
    );
    const { issued, path, server, isWritten } = written;
    const { cluster, user, context } = access.names;
    if (args.json === true) {
      const about = { path, written: isWritten, server, cluster, user, context, namespace: access.namespace };
      printJson({ ...issuedJson(issued, renewal.destination), kubeconfig: about });
    } else {
      run.log.done(issuedSentence(issued, renewal.destination));
      if (isWritten) run.log.done(`${path} written: context ${context}, cluster ${cluster} at ${server}`);
    }
    return ExitCode.ok;
  },
};

if (import.meta.main) void runScript(writeKubeconfig);
