import { describe, expect, test } from "bun:test";
import type { Action } from "../../lib/action.ts";
import { actionText, actionTexts } from "../../lib/cli/action.ts";

const folder = { configDir: "/etc/vault/certs.d", configPath: "/etc/vault" } as const;
const names = { commonName: "etcd-1", organisations: [], dnsNames: [], ipAddresses: [] } as const;
const one = {
  do: "renew one",
  configPath: "/etc/vault",
  refreshCa: false,
  signPath: "demo/pki/etcd-k8s/sign/server",
  names,
  caChain: false,
  destination: "/etc/etcd/ssl/etcd",
  owner: undefined,
  keyMode: undefined,
} as const;

const rows: ReadonlyArray<readonly [action: Action, text: string]> = [
  [{ do: "renew token", configPath: "/etc/vault" }, "renew-token"],
  [{ do: "renew token", configPath: "/srv/my vault" }, "renew-token --config-path '/srv/my vault'"],
  [{ do: "renew manifests", ...folder, refreshCa: false }, "issue-cert --config-dir /etc/vault/certs.d"],
  [
    { do: "renew manifests", ...folder, refreshCa: true },
    "issue-cert --config-dir /etc/vault/certs.d --refresh-ca",
  ],
  [{ do: "run hooks", ...folder }, "issue-cert --config-dir /etc/vault/certs.d --hooks only"],
  [one, "issue-cert --if-due demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd"],
  [
    {
      ...one,
      refreshCa: true,
      caChain: true,
      owner: { uid: 998, gid: 997 },
      keyMode: 0o640,
      names: { ...names, organisations: ["system:nodes"], dnsNames: ["a", "b"], ipAddresses: ["::1"] },
    },
    "issue-cert --if-due --refresh-ca --ca-chain -o 998 -g 997 --key-mode 0640 -s a,b -i ::1 -n system:nodes " +
      "demo/pki/etcd-k8s/sign/server etcd-1 /etc/etcd/ssl/etcd",
  ],
  [
    { ...one, signPath: undefined, names: { ...names, commonName: "" } },
    "issue-cert --if-due SIGN-PATH COMMON-NAME /etc/etcd/ssl/etcd",
  ],
  [{ do: "enable", timers: ["cert.timer"] }, "systemctl enable --now cert.timer"],
  [
    { do: "unmask", unit: "cert.timer", isTimer: true },
    "systemctl unmask cert.timer && systemctl enable --now cert.timer",
  ],
  [{ do: "unmask", unit: "cert.service", isTimer: false }, "systemctl unmask cert.service"],
  [{ do: "start", unit: "cert.service" }, "systemctl start cert.service"],
  [{ do: "read the journal", unit: "cert.service" }, "journalctl --unit cert.service"],
  [{ do: "other", text: "install -d /srv" }, "install -d /srv"],
];

test.each(rows)("actionText() of %j", (action, text) => {
  expect(actionText(action)).toBe(text);
});

describe("actionTexts()", () => {
  const all = { do: "renew manifests", ...folder, refreshCa: false } as const;
  const withCa = { ...all, refreshCa: true } as const;
  const hooks = { do: "run hooks", ...folder } as const;

  test("names each once", () => {
    expect(actionTexts([hooks, hooks])).toEqual([actionText(hooks)]);
  });

  test("leaves out an action that another one includes", () => {
    expect(actionTexts([hooks, all])).toEqual([actionText(all)]);
    expect(actionTexts([all, hooks, withCa])).toEqual([actionText(withCa)]);
  });

  test("keeps actions for another folder", () => {
    const other = { ...hooks, configDir: "/srv/certs.d" };
    expect(actionTexts([all, other])).toEqual([actionText(all), actionText(other)]);
  });

  test("enables all timers by one call, at the end", () => {
    const [a, b] = ["cert.timer", "token-renewal.timer"];
    const enable = (timer: string): Action => ({ do: "enable", timers: [timer] });
    expect(actionTexts([enable(a), all, enable(b), enable(a)])).toEqual([
      actionText(all),
      `systemctl enable --now ${a} ${b}`,
    ]);
  });
});
