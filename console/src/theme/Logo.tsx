/** The mark: two lines come in, one goes on. `size` is its height in pixels. It is decoration; the name beside it is read out. */
export function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="var(--relay-mark)" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round">
        <path d="M8 10.5h4.2c5.6 0 2.6 11 8.2 11H24" />
        <path d="M8 21.5h4.2c1.5 0 2.4-.8 3-2M20.4 10.5H24M17.4 12.5c.6-1.2 1.5-2 3-2" opacity=".55" />
      </g>
      <circle cx="24.5" cy="21.5" r="2.3" fill="#7fe3d0" />
    </svg>
  );
}
