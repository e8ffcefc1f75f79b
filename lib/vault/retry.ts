import { isPlausibleNow } from "../calendar.ts";
import { VaultError } from "./error.ts";

export interface RetryOptions {
  /** How many times more, after the first. */
  readonly maxRetries: number;
  /** Repeating the request costs nothing even when the server had acted on it. */
  readonly repeatable: boolean;
  /** Ends the wait, and with it the tries. */
  readonly signal: AbortSignal;
  /** What is left until then, in milliseconds: a wait that is longer is of no use, and is not begun. */
  readonly timeLeftMs?: (() => number) | undefined;
  /** Told before each wait, for a log. */
  readonly onRetry?: ((error: VaultError, waitMs: number) => void) | undefined;
  /** The longest first wait, in milliseconds; it doubles with each try. @default 500 */
  readonly baseMs?: number;
  /** No wait of ours is longer, in milliseconds. @default 10_000 */
  readonly capMs?: number;
  /** @default Math.random */
  readonly random?: () => number;
}

// A timer set to more ends at once.
const longestTimerMs = 2 ** 31 - 1;

/**
 * Calls `attempt` until it succeeds, for as long as trying again may help and does no harm.
 *
 * Waits are exponential with full jitter (a uniform draw below the doubled limit), so that a thousand hosts
 * that failed at one moment do not come back at one moment; a wait that the server asked for is kept.
 *
 * @returns what `attempt` gives
 * @throws the last error of `attempt`
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { baseMs = 500, capMs = 10_000, random = Math.random } = options;
  for (let tried = 0; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof VaultError) || tried >= options.maxRetries || options.signal.aborted)
        throw error;
      if (!(error.transient && (error.untouched || options.repeatable))) throw error;
      const jitterMs = random() * Math.min(capMs, baseMs * 2 ** tried);
      const waitMs = Math.min(longestTimerMs, Math.max(error.retryAfterMs ?? 0, jitterMs));
      // A wait that the run won't live to the end of would only hold its lock.
      if (waitMs >= (options.timeLeftMs?.() ?? Number.POSITIVE_INFINITY)) throw error;
      options.onRetry?.(error, waitMs);
      await wait(waitMs, options.signal, error);
    }
  }
}

/** Resolves after the wait; rejects with `error`, which tells more than an abort, when the signal comes first. */
function wait(milliseconds: number, signal: AbortSignal, error: VaultError): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** What an answer asks to wait: by its own clock, where this host's is off by more than a minute. */
export function retryAfterMs({ headers }: Response): number | undefined {
  const [date, now] = [Date.parse(headers.get("date") ?? ""), Date.now()];
  const isOff = isPlausibleNow(date) && Math.abs(date - now) > 60_000;
  return parseRetryAfter(headers.get("retry-after"), isOff ? date : now);
}

/**
 * Reads a `Retry-After` header: seconds, or an HTTP date.
 *
 * @returns milliseconds from `now`, zero or more; undefined where there is none or it is neither
 * @see RFC 9110, section 10.2.3
 */
export function parseRetryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  // The parser takes "-1" for a year: only what starts with a day's name, as each form of an HTTP date, is one.
  const at = /^[a-z]{3,9},? /i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
