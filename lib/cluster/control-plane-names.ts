/**
 * Names by which a certificate of the CA of `k8s` or `k8s-api-proxy` speaks for a part of the control plane: as a user
 * that has rights by default, or as a server that the others ask.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
 */
export const controlPlaneNames: readonly string[] = [
  "system:kube-controller-manager",
  "system:kube-scheduler",
  "system:kube-proxy",
  "system:kube-apiserver",
  "system:apiserver",
  "system:admin",
  // The service account that may give others any right.
  "system:serviceaccount:kube-system:clusterrole-aggregation-controller",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-proxy",
  "kube-apiserver",
  "kube-apiserver-kubelet-client",
  "kube-apiserver-proxy",
  "front-proxy-client",
  "admin",
  "cluster-admin",
  "kubernetes-admin",
  "kubernetes-super-admin",
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
  "localhost",
];

/**
 * The first name of the control plane that one of some patterns takes in; undefined for none.
 *
 * @param patterns with * for any text, as roles with `allow_glob_domains` read it: dots and colons, too
 * @param may which names can be had at all
 */
export function controlPlaneName(
  patterns: readonly string[],
  may: (name: string) => boolean = () => true,
): string | undefined {
  return controlPlaneNames.find((name) => may(name) && patterns.some((it) => haveCommon(it, name)));
}

/** Names of services: those of a cluster whose DNS has another domain than `cluster.local` have the label, too. */
export function takesInServices(pattern: string): boolean {
  return (
    ["*.svc", "*.cluster.local"].some((names) => haveCommon(pattern, names)) ||
    pattern.toLowerCase().split(".").includes("svc")
  );
}

/** Whether some text fits both patterns, whatever its letters' case, in time of their lengths' product. */
function haveCommon(left: string, right: string): boolean {
  const [a, b] = [[...left.toLowerCase()], [...right.toLowerCase()]];
  // Whether what follows in `a` has a text in common with what follows each place of `b`.
  let after: readonly boolean[] = [];
  for (let i = a.length; i >= 0; i--) {
    const here: boolean[] = [];
    for (let j = b.length; j >= 0; j--) {
      if (i === a.length && j === b.length) here[j] = true;
      else if (a[i] === "*" || b[j] === "*") here[j] = (after[j] ?? false) || (here[j + 1] ?? false);
      else here[j] = a[i] === b[j] && (after[j + 1] ?? false);
    }
    after = here;
  }
  return after[0] ?? false;
}
