import type { Action, CertificateCall } from "../action.ts";
import { keyModeText } from "../host/key-mode.ts";
import { shellWord } from "../words.ts";

/** An action as a command line that can be pasted, or as a sentence. */
export function actionText(action: Action): string {
  switch (action.do) {
    case "renew token":
      return call("renew-token", action.configPath);
    case "renew manifests":
      return `${manifestsCall(action)}${action.refreshCa ? " --refresh-ca" : ""}`;
    case "run hooks":
      return `${manifestsCall(action)} --hooks only`;
    case "renew one":
      return certificateCall(action);
    case "enable":
      return enableCall(action.timers);
    case "unmask":
      return `systemctl unmask ${action.unit}${action.isTimer ? ` && ${enableCall([action.unit])}` : ""}`;
    case "start":
      return `systemctl start ${action.unit}`;
    case "read the journal":
      return `journalctl --unit ${action.unit}`;
    case "other":
      return action.text;
  }
}

/** Several actions as texts: each once, without those that another one includes, and timers enabled by one call. */
export function actionTexts(actions: readonly Action[]): readonly string[] {
  const timers = [...new Set(actions.flatMap((it) => (it.do === "enable" ? it.timers : [])))];
  const others = actions.filter((it) => it.do !== "enable" && !actions.some((all) => includes(all, it)));
  const enable: readonly Action[] = timers.length === 0 ? [] : [{ do: "enable", timers }];
  return [...new Set([...others, ...enable].map(actionText))];
}

/** Whether one action includes another. Renewing includes running hooks, and a CA check renews as well. */
function includes(all: Action, part: Action): boolean {
  if (all.do !== "renew manifests" || (part.do !== "run hooks" && part.do !== "renew manifests"))
    return false;
  const isSame = all.configDir === part.configDir && all.configPath === part.configPath;
  return isSame && (part.do === "run hooks" || (all.refreshCa && !part.refreshCa));
}

function enableCall(timers: readonly string[]): string {
  return `systemctl enable --now ${timers.join(" ")}`;
}

function manifestsCall({ configDir, configPath }: { configDir: string; configPath: string }): string {
  return `${call("issue-cert", configPath)} --config-dir ${shellWord(configDir)}`;
}

/** A command of this host, with the folder of its tokens unless that is the default one. */
function call(command: string, configPath: string): string {
  return configPath === "/etc/vault" ? command : `${command} --config-path ${shellWord(configPath)}`;
}

function certificateCall(wanted: CertificateCall): string {
  const { signPath, names, caChain, destination, owner, keyMode, configPath, refreshCa } = wanted;
  const { commonName, dnsNames, ipAddresses, organisations } = names;
  const flags = [
    ["-s", dnsNames],
    ["-i", ipAddresses],
    ["-n", organisations],
  ] as const;
  return [
    call("issue-cert", configPath),
    "--if-due",
    ...(refreshCa ? ["--refresh-ca"] : []),
    ...(caChain ? ["--ca-chain"] : []),
    ...(owner === undefined ? [] : ["-o", String(owner.uid), "-g", String(owner.gid)]),
    ...(keyMode === undefined ? [] : ["--key-mode", keyModeText(keyMode)]),
    ...flags.flatMap(([flag, values]) => (values.length === 0 ? [] : [flag, shellWord(values.join(","))])),
    signPath === undefined ? "SIGN-PATH" : shellWord(signPath),
    commonName === "" ? "COMMON-NAME" : shellWord(commonName),
    shellWord(destination),
  ].join(" ");
}
