import { Failure } from "../failure.ts";
import { ask, type Endpoint } from "./http.ts";
import type { ServerProcess } from "./process.ts";

const READY_SECONDS = 60;

/** A server's own state. @see https://developer.hashicorp.com/vault/api-docs/system/health */
export async function health(endpoint: Endpoint) {
  const { body } = await ask(endpoint, "GET", "sys/health");
  return {
    initialized: body.initialized === true,
    sealed: body.sealed === true,
    standby: body.standby === true,
  };
}

/** Waits until the server is unsealed, and is active or a standby that knows its leader. */
export async function untilReady(process: ServerProcess, endpoint: Endpoint): Promise<void> {
  const deadline = Date.now() + READY_SECONDS * 1000;
  while (!(await isReady(endpoint))) {
    process.assertRunning();
    if (Date.now() > deadline) {
      throw new Failure("unavailable", `${endpoint.address} wasn't ready in ${READY_SECONDS} s; its log:`, {
        details: process.log(),
      });
    }
    await Bun.sleep(50);
  }
}

async function isReady(endpoint: Endpoint): Promise<boolean> {
  const { sealed, standby } = await health(endpoint);
  if (sealed) return false;
  if (!standby) return true;
  const { body } = await ask(endpoint, "GET", "sys/leader");
  const leader = body.leader_address;
  return typeof leader === "string" && leader !== "" && leader !== endpoint.address;
}
