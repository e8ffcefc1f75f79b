import { ExitCode } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";
import { parseExactly } from "./exact-json.ts";
import { parseRetryAfter } from "./retry.ts";

/** More than any answer that we ask for, less than what hurts a small host. */
const maxBytes = 8 * 1024 * 1024;

export const strangerHint =
  "something other than Vault answers there: check VAULT_ADDR and the proxy between";

/**
 * Reads an answer's body as JSON, and no more of it than we would ever want.
 *
 * @returns the value; undefined for an empty body
 * @throws VaultError when it is too long, or not JSON
 */
export async function readJson(
  response: Response,
  request: RequestName & { readonly exactNumbers?: boolean },
): Promise<unknown> {
  const body = await readText(response, request);
  if (body.trim() === "") return undefined;
  try {
    return request.exactNumbers === true ? parseExactly(body) : JSON.parse(body);
  } catch (cause) {
    const html = /^\s*</.test(body) || /html/i.test(response.headers.get("content-type") ?? "");
    // A proxy's page for 429, 502 or 503 goes away; one for 200 is where we were sent.
    const transient = response.status >= 500 || response.status === 429;
    throw new VaultError(
      transient ? ExitCode.tryLater : ExitCode.unavailable,
      request,
      `HTTP ${response.status} came with ${html ? "an HTML page" : "a body that is not JSON"}`,
      {
        status: response.status,
        transient,
        untouched: response.status === 429,
        retryAfterMs: parseRetryAfter(response.headers.get("retry-after")),
        hint: strangerHint,
        // The parser's error quotes the body; only the kind of it is kept.
        cause: cause instanceof Error ? cause.name : undefined,
      },
    );
  }
}

async function readText(response: Response, request: RequestName): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream, and with it the connection.
    if (bytes > maxBytes) {
      throw new VaultError(
        ExitCode.unavailable,
        request,
        `the answer is longer than ${maxBytes / 1024 / 1024} MiB`,
        {
          status: response.status,
          hint: strangerHint,
        },
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
