import { dropIn, writeHostFile } from "./host.ts";
import type { Machine } from "./machine.ts";

/**
 * Runs a command in place of a unit's own, with all settings of the unit and its commands before and after. Returns the
 * command's output.
 */
export async function takeOver(host: Machine, unit: string, command: string): Promise<readonly string[]> {
  const name = `taken-${Bun.randomUUIDv7()}`;
  const lines = [
    ...["[Unit]", "StartLimitIntervalSec=0", "[Service]", "ExecStart=", `ExecStart=${command}`],
    ...["Restart=no", "StandardOutput=journal", `SyslogIdentifier=${name}`],
  ];
  for (const [path, file] of Object.entries(dropIn(unit, `${lines.join("\n")}\n`)))
    writeHostFile(host.disk, path, file);
  await host.output("systemctl", "daemon-reload");
  await host.output("systemctl", "restart", unit);
  await host.output("rm", "-r", `/etc/systemd/system/${unit}.d`);
  await host.output("systemctl", "daemon-reload");
  await host.output("journalctl", "--sync");
  return (await host.output("journalctl", "-q", "--output=cat", "--identifier", name)).split("\n");
}
