import { startDevServer } from "./dev.ts";
import { startRaftServer } from "./raft.ts";
import type { DevOptions, RaftOptions, RaftServer, Server } from "./server.ts";

/**
 * Starts a server for development or a test on a free port. Resolves when it is ready. Dispose of it (`await using`)
 * to end it at once.
 */
export function startServer(options: RaftOptions): Promise<RaftServer>;
export function startServer(options: DevOptions): Promise<Server>;
export function startServer(options: DevOptions | RaftOptions): Promise<Server> {
  return options.mode === "raft" ? startRaftServer(options) : startDevServer(options);
}
