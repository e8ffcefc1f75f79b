import { ExitCode } from "../failure.ts";
import { type RequestName, VaultError } from "./error.ts";
import { parseExactly } from "./exact-json.ts";
import { retryAfterMs } from "./retry.ts";

/** More than any answer that a host asks for, less than what hurts a small one. */
const defaultMebibytes = 8;

export const strangerHint =
  "something other than Vault answers there: check VAULT_ADDR and the proxy between";

/** @see https://pkg.go.dev/net/http#Server.ServeTLS, which answers so */
const plainToTls = /^Client sent an HTTP request to an HTTPS server/;

interface BodyRequest extends RequestName {
  readonly exactNumbers?: boolean;
  readonly maxMebibytes?: number;
}

/**
 * Reads an answer's body as JSON, and no more of it than we would ever want.
 *
 * @returns the value; undefined for an empty body
 * @throws VaultError when it is too long, or not JSON
 */
export async function readJson(response: Response, request: BodyRequest): Promise<unknown> {
  const body = await readText(response, request);
  if (body.trim() === "") return undefined;
  try {
    return request.exactNumbers === true ? parseExactly(body) : JSON.parse(body);
  } catch (cause) {
    if (response.status === 400 && plainToTls.test(body)) {
      throw new VaultError(
        ExitCode.unavailable,
        request,
        "plain HTTP was spoken to a server that wants TLS",
        {
          status: response.status,
          hint: "VAULT_ADDR has to start with https://",
        },
      );
    }
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
        retryAfterMs: retryAfterMs(response),
        hint: strangerHint,
        // The parser's error quotes the body; only the kind of it is kept.
        cause: cause instanceof Error ? cause.name : undefined,
      },
    );
  }
}

async function readText(response: Response, request: BodyRequest): Promise<string> {
  const { maxMebibytes = defaultMebibytes } = request;
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream, and with it the connection.
    if (bytes > maxMebibytes * 1024 * 1024) {
      throw new VaultError(ExitCode.unavailable, request, `the answer is longer than ${maxMebibytes} MiB`, {
        status: response.status,
        hint: strangerHint,
      });
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
