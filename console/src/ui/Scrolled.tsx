import type { CSSProperties, ReactNode } from "react";

/** What may be wider or longer than its place: it scrolls, with the keyboard as well. */
export function Scrolled({
  label,
  className,
  style,
  children,
}: {
  label: string;
  className?: string | undefined;
  style?: CSSProperties;
  children: ReactNode;
}) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms, and a section would be one landmark more
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard
    <div role="group" tabIndex={0} aria-label={label} className={className} style={style}>
      {children}
    </div>
  );
}
