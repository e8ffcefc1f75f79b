import { type Identity, NoAnswer, put } from "./etcd-api.ts";
import type { Member } from "./members.ts";

interface Written {
  readonly acknowledged: readonly string[];
  /** Writes that no member took. */
  readonly failed: readonly string[];
  /** Writes that a member took after another one had not, with what that one said. */
  readonly retries: readonly string[];
  /** Connections that a running member or the writer has cut, and what else was wrong with their certificates. */
  readonly refused: readonly string[];
}

export interface Writer {
  readonly name: string;
  /**
   * Resolves after this many more acknowledged writes.
   *
   * @throws Error if a write has failed
   */
  more(count: number): Promise<void>;
  stop(): Promise<Written>;
}

/** In the answer of a member that refuses its own certificate: what takes HTTP there is a client of it too. */
const aboutCertificates = /x509|certificate|authentication|handshake/i;

/**
 * Writes all the time, each time over a new connection to the next member. If that one can't take it, it asks the
 * others in turn.
 *
 * @param identity is asked for at each write
 */
export function startWriter(name: string, members: readonly Member[], identity: () => Identity): Writer {
  const [acknowledged, failed, retries, refused]: [string[], string[], string[], string[]] = [[], [], [], []];
  let isStopping = false;

  async function attempt(member: Member, key: string): Promise<boolean> {
    const { isServing, starts } = member;
    try {
      await put(member.port, identity(), key);
      return true;
    } catch (error) {
      const said = `${key} at ${member.name}: ${error instanceof Error ? error.message : error}`;
      const wasUp = isServing && member.isServing && member.starts === starts;
      const isRefusal = error instanceof NoAnswer ? wasUp || !error.isCut : aboutCertificates.test(said);
      if (isRefusal) refused.push(said);
      retries.push(said);
      return false;
    }
  }

  async function write() {
    for (let number = 0; !isStopping; number++) {
      const key = `${name}/${number}`;
      let isWritten = false;
      for (let turn = 0; turn < members.length && !isWritten; turn++) {
        const member = members[(number + turn) % members.length];
        isWritten = member !== undefined && (await attempt(member, key));
      }
      (isWritten ? acknowledged : failed).push(key);
      await Bun.sleep(10);
    }
  }
  const writing = write();
  return {
    name,
    async more(count) {
      const wanted = acknowledged.length + count;
      while (acknowledged.length < wanted) {
        if (failed.length > 0) throw new Error(`nobody took ${failed[0]}: ${retries.slice(-3).join("; ")}`);
        await Bun.sleep(5);
      }
    },
    async stop() {
      isStopping = true;
      await writing;
      return { acknowledged, failed, retries, refused };
    },
  };
}
