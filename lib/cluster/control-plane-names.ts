/**
 * Names that make a certificate of `k8s` or `k8s-api-proxy` act as a part of the control plane: as a user with rights
 * by default, or as a server that other components trust.
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
  // This service account may grant any right to others.
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
 * The first name of the control plane that a pattern matches; undefined for none.
 *
 * @param patterns in which * matches any text, even dots and colons, as in roles with `allow_glob_domains`
 * @param may whether the role can sign a name at all
 */
export function controlPlaneName(
  patterns: readonly string[],
  may: (name: string) => boolean = () => true,
): string | undefined {
  return controlPlaneNames.find((name) => may(name) && patterns.some((it) => overlap(it, name)));
}

/** Whether a pattern matches names of services. With a DNS domain other than `cluster.local` they still have `svc`. */
export function matchesServices(pattern: string): boolean {
  return (
    ["*.svc", "*.cluster.local"].some((names) => overlap(pattern, names)) ||
    pattern.toLowerCase().split(".").includes("svc")
  );
}

/** Whether some text matches both patterns, ignoring case. Takes time proportional to the product of their lengths. */
function overlap(left: string, right: string): boolean {
  const [a, b] = [[...left.toLowerCase()], [...right.toLowerCase()]];
  // For each position in `b`: whether the rest of `a` and the rest of `b` overlap.
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
