/**
 * A moment that came from outside, where it can be one: within the years 1 to 9999, which is all that certificates
 * (RFC 5280, section 4.1.2.5), HTTP (RFC 9110, section 5.6.7) and ISO 8601 can write.
 *
 * @param value milliseconds, or a text that the runtime reads
 */
export function calendarDate(value: number | string): Date | undefined {
  const date = new Date(value);
  const year = date.getUTCFullYear();
  return year >= 1 && year <= 9999 ? date : undefined;
}

/** When Vault 0.1.0 came out: a clock that shows an earlier time was never set. */
const earliestMs = Date.UTC(2015, 3, 28);

/** Whether a clock may show this: what is no date, or was before any server of this kind, it shows by mistake. */
export function isPlausibleNow(value: number | string): boolean {
  const date = calendarDate(value);
  return date !== undefined && date.getTime() >= earliestMs;
}
