// The code that is shown and copied, in files of its own, so that a test runs it as it stands: `tests/browser/test_documentation.py`.
import aiSdk from "./ai-sdk.mjs?raw";
import aider from "./aider.sh?raw";
import callNode from "./call.mjs?raw";
import callPython from "./call.py?raw";
import callCurl from "./call.sh?raw";
import continueDev from "./continue.yaml?raw";
import error from "./error.json?raw";
import langchain from "./langchain.py?raw";
import openWebui from "./open-webui.sh?raw";
import receipt from "./receipt.sh?raw";
import streamNode from "./stream.mjs?raw";
import streamPython from "./stream.py?raw";
import streamCurl from "./stream.sh?raw";
import streamFormat from "./stream.txt?raw";

const CODES = {
  "call.curl": callCurl,
  "call.python": callPython,
  "call.node": callNode,
  "stream.curl": streamCurl,
  "stream.python": streamPython,
  "stream.node": streamNode,
  "stream.format": streamFormat,
  receipt,
  error,
  continue: continueDev,
  aider,
  openWebui,
  langchain,
  aiSdk,
} as const;

/** What a code is filled with; what is left out stays as it stands in the file. */
export interface Filling {
  /** With its `/v1`. */
  baseUrl?: string | undefined;
  key?: string | undefined;
  model?: string | undefined;
}

export const EXAMPLE_KEY = "sk-relay-your-key";

/** A code, filled with the site's base URL, a key and a model. */
export function snippet(name: keyof typeof CODES, { baseUrl, key, model }: Filling): string {
  let code: string = CODES[name].trimEnd();
  if (baseUrl) code = code.replaceAll("https://relay.example/v1", baseUrl);
  if (key) code = code.replaceAll(EXAMPLE_KEY, key);
  if (model) code = code.replaceAll("your-model", model);
  return code;
}

/** The same call in curl, Python and Node, for `CodeTabs`. */
export function snippets(kind: "call" | "stream", filling: Filling): { id: string; label: string; code: string }[] {
  return [
    { id: "curl", label: "curl", code: snippet(`${kind}.curl`, filling) },
    { id: "python", label: "Python", code: snippet(`${kind}.python`, filling) },
    { id: "node", label: "Node.js", code: snippet(`${kind}.node`, filling) },
  ];
}
