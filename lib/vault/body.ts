import { mayPass, type RequestName, VaultError } from "./error.ts";
import { findExcess } from "./json-limits.ts";
import { retryAfterMs } from "./retry.ts";

/** More than any answer to a host, but little enough for a host with little memory. */
const defaultMebibytes = 8;

/**
 * One value for each 16 bytes, since names in a list are longer on average. A value takes about 100 bytes of memory.
 */
const valuesPerMebibyte = 62_500;

export const notVaultHint =
  "something other than Vault answers there: check VAULT_ADDR and any proxy on the way";

/** Go's answer to plain HTTP on a TLS port. @see https://pkg.go.dev/net/http#Server.ServeTLS */
const plainToTls = /^Client sent an HTTP request to an HTTPS server/;

interface BodyRequest extends RequestName {
  readonly exactNumbers?: boolean;
  readonly maxMebibytes?: number;
}

/**
 * Reads an answer's body as JSON, up to a limit of length, depth and number of values.
 *
 * @returns the value; undefined for an empty body
 * @throws VaultError if the body is beyond a limit or is not JSON
 */
export async function readJson(response: Response, request: BodyRequest): Promise<unknown> {
  const body = await readText(response, request);
  if (body.trim() === "") return undefined;
  const { maxMebibytes = defaultMebibytes } = request;
  const excess = findExcess(body, maxMebibytes * valuesPerMebibyte);
  if (excess !== undefined) throw unreadable(response, request, `the answer is ${excess}`);
  try {
    if (request.exactNumbers !== true) return JSON.parse(body);
    const { parseExactly } = await import("./exact-json.ts");
    return parseExactly(body);
  } catch (cause) {
    if (response.status === 400 && plainToTls.test(body)) {
      throw new VaultError("unavailable", request, "plain HTTP was sent to a server that expects TLS", {
        status: response.status,
        hint: "VAULT_ADDR has to start with https://",
      });
    }
    const html = /^\s*</.test(body) || /html/i.test(response.headers.get("content-type") ?? "");
    // The parser's message quotes the body, which may hold a secret. Only the error's name is kept.
    const kind = cause instanceof Error ? cause.name : undefined;
    const what = html ? "an HTML page" : "a body that is not JSON";
    throw unreadable(response, request, `HTTP ${response.status} came with ${what}`, kind);
  }
}

/** The error for an unreadable answer. A proxy's page with 429, 502 or 503 may be gone soon; one with 200 stays. */
function unreadable(response: Response, request: RequestName, sentence: string, cause?: string): VaultError {
  const { status } = response;
  const transient = mayPass(status);
  const kind = transient ? "temporary" : "unavailable";
  return new VaultError(kind, request, sentence, {
    status,
    transient,
    untouched: status === 429,
    retryAfterMs: retryAfterMs(response),
    hint: notVaultHint,
    cause,
  });
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
      throw unreadable(response, request, `the answer is longer than ${maxMebibytes} MiB`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
