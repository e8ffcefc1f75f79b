import { describe, expect, test } from "bun:test";
import { hostname, networkInterfaces } from "node:os";
import { hostFacts, resolveSpecifiers } from "../../lib/manifest/specifiers.ts";
import { failureOf } from "../support/failure.ts";
import { host } from "./read.ts";

test.each([
  ["no specifier", "no specifier"],
  ["%H", "node-7.example.com"],
  ["%l-%l", "node-7-node-7"],
  ["%4,%6", "10.0.0.7,fd00::7"],
  ["%%H", "%H"],
  ["%%%l", "%node-7"],
  ["", ""],
])("resolveSpecifiers(%j) gives %j", (text, resolved) => {
  expect(resolveSpecifiers(text, host)).toBe(resolved);
});

test.each([
  ["%", "% can't"],
  ["%h", "%h can't"],
  ["%\n", "%\n can't"],
  ["% H", "%  can't"],
  ["%🙂", "%🙂 can't"],
])("resolveSpecifiers(%j) throws", async (text, words) => {
  const { kind, message } = await failureOf(() => resolveSpecifiers(text, host));
  expect([kind, message]).toEqual(["config", `${words} be resolved: there is no such specifier`]);
});

test("resolveSpecifiers() returns the whole host name for %l if it has no dot", () => {
  expect(resolveSpecifiers("%l", { ...host, hostName: "plain" })).toBe("plain");
});

describe("the host name", () => {
  test.each([
    "../elsewhere/x",
    "a/b",
    "/",
    ".",
    "..",
    ".a",
    "a..b",
    "a b",
    "a\nb",
    "a\0",
    "-a",
    "a.-b",
    "ä",
    "\u202ea",
  ])("%j is refused, but only when a specifier asks for it", async (hostName) => {
    const odd = { ...host, hostName };
    for (const text of ["/etc/%H", "%l"]) {
      const { kind, message, hint } = await failureOf(() => resolveSpecifiers(text, odd));
      expect([kind, message]).toEqual([
        "config",
        `${text.slice(-2)} can't be resolved: this host's name is ${JSON.stringify(hostName)}, which is not a host name`,
      ]);
      expect(hint).toContain("hostnamectl");
    }
    expect(resolveSpecifiers("/etc/%4", odd)).toBe("/etc/10.0.0.7");
  });

  test.each(["a", "node-7", "node_7.example.com", "7.example.com.", "NODE"])("%j is accepted", (hostName) => {
    expect(resolveSpecifiers("%H", { ...host, hostName })).toBe(hostName);
  });
});

test("hostFacts() returns this machine's name, and addresses that others can reach", () => {
  const { hostName, ipv4, ipv6 } = hostFacts();
  expect(hostName).toBe(hostname());
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  for (const address of [ipv4, ipv6]) {
    if (address === undefined) continue;
    expect(own.find((it) => it.address === address)?.internal).toBe(false);
    expect(address).not.toMatch(/^(127\.|::1$|fe80:|169\.254\.)/);
  }
});
