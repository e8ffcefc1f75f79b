import { describe, expect, test } from "bun:test";
import { Failure } from "../../lib/failure.ts";
import { fileError } from "../../lib/host/file-error.ts";

function told(message: string, code?: string): Failure {
  return fileError("file", "write", "/etc/x", Object.assign(new Error(message), code && { code }));
}

describe("fileError()", () => {
  test.each([
    ["EBUSY", "EBUSY: resource busy or locked, rename '/proc/self/fd/6/.x.tmp-1' -> '/proc/self/fd/6/x'"],
    ["ETXTBSY", "ETXTBSY: text file is busy, open '/proc/self/fd/6/x'"],
    ["EINVAL", "EINVAL: invalid argument, fchmod"],
    ["ENOTSUP", "ENOTSUP: operation not supported on socket, lstat '/proc/self/fd/6/a, b'"],
    ["EACCES", "EACCES: permission denied, open '/proc/self/fd/6/x'"],
  ])("puts %s into words, with the path for messages", (code, message) => {
    const { message: sentence, kind } = told(message, code);
    expect(sentence).toMatch(/^can't write \/etc\/x: [a-z ,]+ \([A-Z]+\)$/);
    expect(sentence).not.toContain("/proc/");
    expect(kind).toBe("file");
  });

  test("keeps the message of other errors, and a Failure as it is", () => {
    expect(told("Error: a, b 'c'").message).toBe("can't write /etc/x: Error: a, b 'c'");
    const failure = new Failure("data", "known");
    expect(fileError("file", "write", "/etc/x", failure)).toBe(failure);
  });

  test("gives a hint for a file that is a mount of its own", () => {
    expect(told("EBUSY: resource busy or locked, rename", "EBUSY").hint).toContain(
      "mount its folder instead",
    );
  });
});
