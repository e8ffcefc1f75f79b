import { describe, expect, test } from "bun:test";
import { ExitCode, exitCodeOf, failureKindOf, worstExitCode } from "../../lib/cli/exit-code.ts";
import { Failure, type FailureKind } from "../../lib/failure.ts";

test.each([
  [[], 0],
  [[0, 0], 0],
  [[0, 2, 0], 2],
  [[2, 75], 75],
  [[75, 77, 75], 75],
  [[69, 75], 75],
  [[69, 77], 77],
  [[70, 75], 75],
  [[73, 65], 65],
  [[65, 78, 64], 64],
  [[70, 64], 70],
] as ReadonlyArray<[ExitCode[], ExitCode]>)("worstExitCode(%p) is %p", (codes, worst) => {
  expect(worstExitCode(codes)).toBe(worst);
});

test("worstExitCode() knows each exit code", () => {
  for (const code of Object.values(ExitCode)) expect(worstExitCode([code])).toBe(code);
});

describe("failureKindOf()", () => {
  const kinds: readonly FailureKind[] = [
    ...(["usage", "data", "unavailable", "internal", "file", "temporary", "permission", "config"] as const),
  ];

  test.each(kinds)("finds %s by the exit code of such a failure", (kind) => {
    expect(failureKindOf(exitCodeOf(new Failure(kind, "it failed")))).toBe(kind);
  });

  test.each([0, 1, 2, 203])("knows no failure with the exit code %d", (code) => {
    expect(failureKindOf(code)).toBeUndefined();
  });
});
