import { Failure } from "../failure.ts";
import type { KubeconfigOptions } from "../tasks/issue-kubeconfig.ts";
import type { Arguments } from "./arguments.ts";

/** The flags about a kubeconfig's fields, apart from the certificate. */
export const kubeconfigArgs = {
  server: {
    type: "string",
    description:
      "address of the API server; without it, the one already in the kubeconfig, or https://127.0.0.1:6443",
    valueHint: "URL",
    group: "Kubeconfig",
  },
  "cluster-name": {
    type: "string",
    description: "name of the cluster; without it, the first part of the sign path",
    valueHint: "NAME",
    group: "Kubeconfig",
  },
  "user-name": {
    type: "string",
    description: "name of the user; without it, the cluster's name",
    valueHint: "NAME",
    group: "Kubeconfig",
  },
  context: {
    type: "string",
    description: "name of the context; without it, the cluster's name",
    valueHint: "NAME",
    group: "Kubeconfig",
  },
  namespace: {
    type: "string",
    description: "namespace of the context",
    default: "kube-system",
    valueHint: "NAME",
    group: "Kubeconfig",
  },
  embed: {
    type: "boolean",
    default: true,
    description:
      "embed key, certificate and CA; with --no-embed, name their files, for clients that read them again",
    group: "Kubeconfig",
  },
  merge: {
    type: "boolean",
    description:
      "keep other entries of the kubeconfig; without it, a kubeconfig with other entries is refused",
    group: "Kubeconfig",
  },
} as const satisfies Arguments;

interface KubeconfigArgs {
  readonly server?: string | undefined;
  readonly "cluster-name"?: string | undefined;
  readonly "user-name"?: string | undefined;
  readonly context?: string | undefined;
  readonly namespace: string;
  readonly embed: boolean;
  readonly merge?: boolean | undefined;
}

/**
 * The kubeconfig that a command line asks for.
 *
 * @throws Failure (usage)
 */
export function kubeconfigOf(
  args: KubeconfigArgs,
  signPath: string,
): Omit<KubeconfigOptions, "path" | "configPath" | "timeLeftMs"> {
  const { server, namespace, context, "user-name": user } = args;
  for (const name of ["cluster-name", "user-name", "context"] as const) checkName(name, args[name]);
  if (server !== undefined) checkServer(server);
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(namespace)) {
    throw new Failure("usage", `${JSON.stringify(namespace)} can't be a namespace`, {
      hint: "use 1 to 63 lower-case letters and digits, with hyphens between them",
    });
  }
  const cluster = args["cluster-name"] ?? signPath.split("/")[0] ?? signPath;
  return {
    server,
    namespace,
    names: { cluster, user: user ?? cluster, context: context ?? cluster },
    isByPath: !args.embed,
    merge: args.merge === true,
  };
}

function checkName(flag: string, name: string | undefined): void {
  if (name === undefined || (name.trim() !== "" && name.length <= 253 && !/[\p{Cc}\p{Cf}]/u.test(name)))
    return;
  throw new Failure("usage", `--${flag} ${JSON.stringify(name)} can't be a name in a kubeconfig`, {
    hint: "use 1 to 253 characters, all of them visible",
  });
}

/** Refuses a password, which `ps` would show, and an address without TLS, where no client certificate is used. */
function checkServer(server: string): void {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const isPlain = url?.username === "" && url.password === "" && !/[?#\s\\]/.test(server);
  if (url?.protocol === "https:" && /^https:\/\//i.test(server) && isPlain) return;
  const shown =
    url !== undefined && url.username + url.password !== "" ? "the value" : JSON.stringify(server);
  throw new Failure("usage", `--server: ${shown} can't be the address of an API server`, {
    hint: "write it as https://api.example.com:6443, without a user or a query",
  });
}
