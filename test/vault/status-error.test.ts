import { expect, test } from "bun:test";
import { ExitCode } from "../../lib/failure.ts";
import { statusError } from "../../lib/vault/status-error.ts";

const request = { method: "POST", path: "demo/pki/k8s/sign/kubelet", capability: "update" };

test.each([
  ["Vault is sealed", ExitCode.tryLater],
  ["server is not yet initialized", ExitCode.tryLater],
  // Names that the user gave, and the server repeats.
  ["common name seal-1.example.com not allowed by this role", ExitCode.data],
  ["subject alternate name sealed.example.com not allowed by this role", ExitCode.data],
])("statusError() of 400 %p ends with %d, and is tried again only where that helps", (words, exitCode) => {
  const error = statusError(request, 400, [words]);
  expect(error.exitCode).toBe(exitCode);
  expect(error.transient).toBe(exitCode === ExitCode.tryLater);
});

test("statusError() of a namespace that OpenBao does not have names the variable", () => {
  const error = statusError(request, 404, ["namespace not found"]);
  expect([error.exitCode, error.hint]).toEqual([ExitCode.config, "check VAULT_NAMESPACE"]);
});
