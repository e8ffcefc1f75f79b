import { expect, test } from "bun:test";
import { statusError } from "../../lib/vault/status-error.ts";

const request = { method: "POST", path: "demo/pki/k8s/sign/kubelet", capability: "update" };

test.each([
  ["Vault is sealed", "temporary"],
  ["server is not yet initialized", "temporary"],
  // Names from the user that the server repeats.
  ["common name seal-1.example.com not allowed by this role", "data"],
  ["subject alternate name sealed.example.com not allowed by this role", "data"],
] as const)(
  "statusError() for 400 %p has the kind %p, and is tried again only if that helps",
  (words, kind) => {
    const error = statusError(request, 400, [words]);
    expect(error.kind).toBe(kind);
    expect(error.transient).toBe(kind === "temporary");
  },
);

test("statusError() names the variable of an unknown OpenBao namespace", () => {
  const error = statusError(request, 404, ["namespace not found"]);
  expect([error.kind, error.hint]).toEqual(["config", "check VAULT_NAMESPACE"]);
});
