// Moments and days as the browser's own fields have them. Pure.

const two = (count: number) => String(count).padStart(2, "0");

/** Seconds of the Unix epoch as `2026-01-31T18:30` in the person's time zone. */
export function fieldOfMoment(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** What such a field holds as seconds of the Unix epoch; null for nothing. */
export function momentOfField(text: string): number | null {
  const milliseconds = text === "" ? Number.NaN : new Date(text).getTime();
  return Number.isNaN(milliseconds) ? null : Math.floor(milliseconds / 1000);
}

/** The day after `2026-01-31`, since the API does not include the last day. */
export function dayAfter(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() + 1);
  return date.toISOString().slice(0, 10);
}
