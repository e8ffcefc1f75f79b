import { describe, expect, test } from "bun:test";
import { nearest } from "../lib/suggest.ts";

const names = ["setup", "setup-mounts", "write-roles", "issue-cert", "read", "san-hosts", "init-role"];

describe("nearest() finds", () => {
  test.each([
    ["isue-cert", "issue-cert"],
    ["issue-certs", "issue-cert"],
    ["isseu-cert", "issue-cert"],
    ["ISSUE-CERT", "issue-cert"],
    ["issuecert", "issue-cert"],
    ["raed", "read"],
    ["san-host", "san-hosts"],
    ["sanHosts", "san-hosts"],
    ["init_role", "init-role"],
    ["write", "write-roles"],
    ["setup-m", "setup-mounts"],
    ["setpu", "setup"],
    ["setup", "setup"],
  ])("for %s the name %s", (word, meant) => {
    expect(nearest(word, names)).toBe(meant);
  });

  test.each([
    [""],
    ["x"],
    ["hosts"],
    ["hvs.CAESIJ3jvbGZKZzlmQ"],
    ["teardown"],
    ["constructor"],
    ["x".repeat(100_000)],
  ])("nothing for %.20s", (word) => {
    expect(nearest(word, names)).toBeUndefined();
  });

  test("nothing for the start of two names, or without names", () => {
    expect(nearest("set", ["set-upper", "set-lower"])).toBeUndefined();
    expect(nearest("set", [])).toBeUndefined();
  });
});
