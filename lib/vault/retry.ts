import { isPlausibleNow } from "../calendar.ts";
import { VaultError } from "./error.ts";

export interface RetryOptions {
  /** Attempts after the first. */
  readonly maxRetries: number;
  /** Repeating the request does no harm, even if the server has already acted on it. */
  readonly repeatable: boolean;
  /** Ends the wait and all further attempts. */
  readonly signal: AbortSignal;
  /** Time left until then, in milliseconds. A longer wait would be useless and is not begun. */
  readonly timeLeftMs?: (() => number) | undefined;
  /** Called before each wait, for a log. */
  readonly onRetry?: ((error: VaultError, waitMs: number) => void) | undefined;
  /** The longest first wait, in milliseconds. It doubles with each attempt. @default 500 */
  readonly baseMs?: number;
  /** The longest wait that we choose ourselves, in milliseconds. @default 10_000 */
  readonly capMs?: number;
  /** @default Math.random */
  readonly random?: () => number;
}

// A longer timer would fire at once.
const longestTimerMs = 2 ** 31 - 1;

/**
 * Calls `attempt` until it succeeds, as long as trying again may help and does no harm.
 *
 * Waits grow exponentially with full jitter (uniform below a limit that doubles), so that a thousand hosts that
 * failed together don't all return together. If the server asks for a longer wait, that one is used.
 *
 * @returns the result of `attempt`
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
      // If the run's time ends during the wait, waiting would only hold the run's lock.
      if (waitMs >= (options.timeLeftMs?.() ?? Number.POSITIVE_INFINITY)) throw error;
      options.onRetry?.(error, waitMs);
      await wait(waitMs, options.signal, error);
    }
  }
}

/** Resolves after the wait. If the signal comes first, rejects with `error`, which says more than an abort would. */
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
    // An abort that has already happened fires no event.
    if (signal.aborted) stop();
  });
}

/** The wait that an answer asks for. A date counts by the answer's own clock if ours is off by more than a minute. */
export function retryAfterMs({ headers }: Response): number | undefined {
  const [date, now] = [Date.parse(headers.get("date") ?? ""), Date.now()];
  const isOff = isPlausibleNow(date) && Math.abs(date - now) > 60_000;
  return parseRetryAfter(headers.get("retry-after"), isOff ? date : now);
}

/**
 * Reads a `Retry-After` header: seconds, or an HTTP date.
 *
 * @returns milliseconds from `now`, zero or more; undefined if there is no header or it is neither
 * @see RFC 9110, section 10.2.3
 */
export function parseRetryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  // Date.parse reads "-1" as a year. Every form of an HTTP date starts with the name of a day.
  const at = /^[a-z]{3,9},? /i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
