import { useRef } from "react";

/** The value, or the last that it had, so that a panel keeps what it shows while it closes. */
export function useLast<T>(value: T | undefined): T | undefined {
  const last = useRef(value);
  if (value !== undefined) last.current = value;
  return last.current;
}
