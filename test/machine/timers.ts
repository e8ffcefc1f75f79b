import type { Machine } from "./machine.ts";

/** Makes timers fire every three seconds instead of daily, until it is disposed of. */
export async function fireSoon(host: Machine, timers: readonly string[]): Promise<AsyncDisposable> {
  const soon = "[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:0/3\nRandomizedDelaySec=0\nAccuracySec=1ms\n";
  for (const timer of timers) {
    const folder = `/run/systemd/system/${timer}.d`;
    await host.output("sh", "-c", `mkdir -p ${folder} && printf '%s' '${soon}' > ${folder}/soon.conf`);
  }
  await host.output("systemctl", "daemon-reload");
  return {
    async [Symbol.asyncDispose]() {
      await host.output("sh", "-c", "rm -r /run/systemd/system/*.timer.d && systemctl daemon-reload");
    },
  };
}

/** Whether no unit is running or waiting to run. */
export async function isQuiet(host: Machine): Promise<boolean> {
  return (await host.output("systemctl", "list-jobs", "--no-legend")) === "";
}
