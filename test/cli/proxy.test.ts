import { describe, expect, test } from "bun:test";
import { proxyFor } from "../../lib/cli/proxy.ts";

const proxy = "http://proxy.example.com:3128";

function isUsed(address: string, list: string, name = "NO_PROXY"): boolean {
  const env = { HTTPS_PROXY: proxy, HTTP_PROXY: proxy, [name]: list };
  return proxyFor(env, new URL(address)) !== undefined;
}

describe("proxyFor() with NO_PROXY", () => {
  test.each([
    ["*"],
    ["vault.example.com"],
    ["VAULT.example.COM"],
    ["example.com"],
    [".example.com"],
    ["*.example.com"],
    ["other.test, vault.example.com"],
    ["other.test vault.example.com"],
    ["vault.example.com:8200"],
    ["vault.example.com."],
  ])("%s exempts https://vault.example.com:8200", (list) => {
    expect(isUsed("https://vault.example.com:8200", list)).toBe(false);
    expect(isUsed("https://vault.example.com.:8200", list, "no_proxy")).toBe(false);
  });

  test.each([
    [""],
    [","],
    ["."],
    ["ult.example.com"],
    ["vault.example.com:443"],
    ["vault.example"],
    ["sub.vault.example.com"],
    ["https://vault.example.com"],
    ["10.0.0.0/8"],
  ])("%s does not exempt it", (list) => {
    expect(isUsed("https://vault.example.com:8200", list)).toBe(true);
  });

  test.each([
    ["10.1.2.3", "https://10.1.2.3:8200", false],
    ["10.1.2.3:8200", "https://10.1.2.3:8200", false],
    ["10.1.2.3:443", "https://10.1.2.3:8200", true],
    ["10.1.2.3:443", "https://10.1.2.3", false],
    ["10.0.0.0/8", "https://10.1.2.3:8200", false],
    ["10.0.0.0/15", "https://10.2.2.3:8200", true],
    ["0.0.0.0/0", "https://10.2.2.3:8200", false],
    ["10.0.0.0/x", "https://10.1.2.3:8200", true],
    ["2.3", "https://10.1.2.3:8200", true],
    ["fd00::1", "https://[fd00:0::1]:8200", false],
    ["[fd00::1]:8200", "https://[fd00::1]:8200", false],
    ["[fd00::1]:443", "https://[fd00::1]:8200", true],
    ["fd00::/8", "https://[fd12::1]:8200", false],
    ["10.0.0.0/8", "https://[fd12::1]:8200", true],
    ["0.0.0.0/0", "https://[fd12::1]:8200", true],
    ["::/0", "https://10.1.2.3:8200", true],
  ])("%s and %s", (list, address, used) => {
    expect(isUsed(address, list)).toBe(used);
  });
});

describe("proxyFor()", () => {
  test.each(["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])("finds no proxy for %s", (host) => {
    expect(isUsed(`https://${host}:8200`, "")).toBe(false);
  });

  test("uses HTTPS_PROXY for https and HTTP_PROXY for http", () => {
    const env = { HTTPS_PROXY: "http://one.test:1", http_proxy: "http://two.test:2" };
    const host = (to: string) => proxyFor(env, new URL(to))?.url.host;
    expect([host("https://vault.test"), host("http://vault.test")]).toEqual(["one.test:1", "two.test:2"]);
  });

  test("finds no proxy if the variable is empty", () => {
    expect(
      proxyFor({ HTTPS_PROXY: "", VAULT_PROXY_ADDR: "" }, new URL("https://vault.test")),
    ).toBeUndefined();
  });
});
