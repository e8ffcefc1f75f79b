import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { ensureProgram, type Program, pinnedVersion, programFolder } from "../../lib/server/build.ts";

/** The executables of a control plane, and of its client. */
export interface Kubernetes {
  readonly etcd: string;
  readonly apiserver: string;
  readonly kubectl: string;
}

const module = import.meta.dir;
const kubernetes = pinnedVersion(module, "k8s.io/kubernetes");
const etcdVersion = pinnedVersion(module, "go.etcd.io/etcd/server/v3");

/** What a release's own build says of itself; else its version would be v0.0.0-master. */
const versionFlag = `-X k8s.io/component-base/version.gitVersion=v${kubernetes}`;

function program(
  name: string,
  more: Pick<Program, "version" | "source" | "asked" | "says" | "minutes">,
): Program {
  return {
    name,
    module,
    flags: ["-trimpath", `-ldflags=-s -w ${versionFlag}`],
    env: { CGO_ENABLED: "0" },
    path: join(programFolder("kubernetes", module, process.env), name),
    without: { sentence: `there is no ${name} to run: none built before`, hint: "run the tests without it" },
    ...more,
  };
}

const programs = {
  etcd: program("etcd", {
    version: etcdVersion,
    source: "go.etcd.io/etcd/server/v3",
    asked: ["--version"],
    says: `etcd Version: ${etcdVersion}`,
    minutes: 2,
  }),
  apiserver: program("kube-apiserver", {
    version: kubernetes,
    source: "k8s.io/kubernetes/cmd/kube-apiserver",
    asked: ["--version"],
    says: `Kubernetes v${kubernetes}`,
    minutes: 6,
  }),
  kubectl: program("kubectl", {
    version: kubernetes,
    source: "k8s.io/kubernetes/cmd/kubectl",
    asked: ["version", "--client"],
    says: `Client Version: v${kubernetes}`,
    minutes: 2,
  }),
};

/**
 * Builds what is not there, once a machine; kubectl only where there is none on PATH.
 *
 * @returns why it can't be had here, in a sentence, where that is so
 */
export async function findKubernetes(): Promise<Kubernetes | { readonly missing: string }> {
  const options = { env: process.env, progress: (line: string) => console.error(line) };
  const kubectl = Bun.which("kubectl") ?? undefined;
  try {
    const built = [programs.etcd, programs.apiserver, ...(kubectl === undefined ? [programs.kubectl] : [])];
    for (const one of built) await ensureProgram(one, options);
  } catch (error) {
    if (error instanceof Failure) return { missing: error.message };
    throw error;
  }
  return {
    etcd: programs.etcd.path,
    apiserver: programs.apiserver.path,
    kubectl: kubectl ?? programs.kubectl.path,
  };
}
