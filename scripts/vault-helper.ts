#!/usr/bin/env bun
import { type Commands, command, runTool } from "../lib/cli/tool.ts";

/** Each is loaded when it is called: a token renewal reads nothing of what the others need. */
const commands: Commands = {
  "setup-mounts": async () => command((await import("./setup-mounts.ts")).setupMounts),
  "write-roles": async () => command((await import("./write-roles.ts")).writeRoles),
  "renew-token": async () => command((await import("./renew-token.ts")).renewToken),
  "issue-cert": async () => command((await import("./issue-cert.ts")).issueCert),
};

if (import.meta.main) void runTool(commands);
