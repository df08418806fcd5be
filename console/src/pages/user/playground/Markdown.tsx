import { Anchor } from "@mantine/core";
import { isValidElement, memo, type ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { CodeBlock } from "../../../ui/CodeBlock";
import classes from "./Markdown.module.css";

// What a model writes is a stranger's text: no HTML of it is obeyed, links say where they lead and tell nothing of this page, and
// pictures are links, since loading one would tell its server that the answer was read.
const COMPONENTS: Components = {
  pre: ({ children }) => <Block>{children}</Block>,
  a: ({ href, children }) => <Outside href={href}>{children}</Outside>,
  img: ({ src, alt }) => <Outside href={typeof src === "string" ? src : undefined}>{alt || src}</Outside>,
  table: ({ children }) => (
    <div className={classes.scroll}>
      <table>{children}</table>
    </div>
  ),
  // An answer is a part of the page, so its headings stand below those of the page.
  h1: ({ children }) => <h3>{children}</h3>,
  h2: ({ children }) => <h4>{children}</h4>,
  h3: ({ children }) => <h5>{children}</h5>,
  h4: ({ children }) => <h6>{children}</h6>,
  h5: ({ children }) => <h6>{children}</h6>,
};

/** Markdown of a stranger, with code to copy. */
export const Markdown = memo(function Markdown({ children }: { children: string }) {
  return (
    <div className={classes.markdown}>
      <ReactMarkdown remarkPlugins={PLUGINS} components={COMPONENTS}>
        {children}
      </ReactMarkdown>
    </div>
  );
});

const PLUGINS = [remarkGfm];

function Block({ children }: { children: ReactNode }) {
  if (!isValidElement<{ className?: string; children?: ReactNode }>(children)) return <pre>{children}</pre>;
  const language = children.props.className?.match(/language-(\S+)/)?.[1];
  const code = String(children.props.children ?? "").replace(/\n$/, "");
  return (
    <div className={classes.code}>
      <CodeBlock code={code} {...(language ? { title: language } : {})} />
    </div>
  );
}

function Outside({ href, children }: { href: string | undefined; children: ReactNode }) {
  if (!href) return children;
  return (
    <Anchor href={href} target="_blank" rel="noopener noreferrer nofollow" inherit title={href}>
      {children}
    </Anchor>
  );
}
