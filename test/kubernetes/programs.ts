import { join } from "node:path";
import { Failure } from "../../lib/failure.ts";
import { ensureProgram, type Program, pinnedVersion, programFolder } from "../../lib/server/build.ts";

/** The executables of a control plane and of kubectl. */
export interface Kubernetes {
  readonly etcd: string;
  readonly apiserver: string;
  readonly kubectl: string;
}

const module = import.meta.dir;
const kubernetes = pinnedVersion(module, "k8s.io/kubernetes");
const etcdVersion = pinnedVersion(module, "go.etcd.io/etcd/server/v3");

/** Sets the version, as an official build does. Otherwise it would be v0.0.0-master. */
const versionFlag = `-X k8s.io/component-base/version.gitVersion=v${kubernetes}`;

function program(
  name: string,
  more: Pick<Program, "version" | "source" | "versionArgs" | "versionOutput" | "minutes">,
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
    versionArgs: ["--version"],
    versionOutput: `etcd Version: ${etcdVersion}`,
    minutes: 2,
  }),
  apiserver: program("kube-apiserver", {
    version: kubernetes,
    source: "k8s.io/kubernetes/cmd/kube-apiserver",
    versionArgs: ["--version"],
    versionOutput: `Kubernetes v${kubernetes}`,
    minutes: 6,
  }),
  kubectl: program("kubectl", {
    version: kubernetes,
    source: "k8s.io/kubernetes/cmd/kubectl",
    versionArgs: ["version", "--client"],
    versionOutput: `Client Version: v${kubernetes}`,
    minutes: 2,
  }),
};

/** Why a program can't be built here. */
interface Missing {
  readonly missing: string;
}

/**
 * Builds the missing executables, once on each machine. kubectl is built only if none is on PATH.
 *
 * @returns the executables, or a sentence about why they can't be built here
 */
export async function findKubernetes(): Promise<Kubernetes | Missing> {
  const kubectl = Bun.which("kubectl") ?? undefined;
  const { etcd, apiserver } = programs;
  const missing = await build([etcd, apiserver, ...(kubectl === undefined ? [programs.kubectl] : [])]);
  if (missing !== undefined) return missing;
  return { etcd: etcd.path, apiserver: apiserver.path, kubectl: kubectl ?? programs.kubectl.path };
}

/** Like `findKubernetes`, for etcd alone. */
export async function findEtcd(): Promise<Pick<Kubernetes, "etcd"> | Missing> {
  return (await build([programs.etcd])) ?? { etcd: programs.etcd.path };
}

async function build(wanted: readonly Program[]): Promise<Missing | undefined> {
  const options = { env: process.env, progress: (line: string) => console.error(line) };
  try {
    for (const one of wanted) await ensureProgram(one, options);
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return { missing: error.message };
    throw error;
  }
}
