// What is said in the playground, and what a call sends of it. Pure; it lives in this tab's session storage and nowhere else.

/** Parameters as they are typed; empty is not set, and is not sent. */
export interface Parameters {
  system: string;
  temperature: string;
  top_p: string;
  max_tokens: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface Answer {
  model: string;
  parameters: Parameters;
  status: "streaming" | "done" | "stopped" | "failed" | "broken";
  text: string;
  reasoning: string;
  /** What went wrong, in the server's words. */
  problem: string | null;
  /** Its code. */
  code: string | null;
  requestId: string | null;
  usage: Usage | null;
  finish: string | null;
  firstMs: number | null;
  tookMs: number | null;
}

/** One thing that was said, with the answer of each column that was asked. */
export interface Turn {
  id: string;
  prompt: string;
  answers: Record<string, Answer>;
}

/** One of the models side by side. */
export interface Column {
  id: string;
  model: string;
}

export interface Conversation {
  columns: Column[];
  parameters: Parameters;
  turns: Turn[];
}

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

/** The body of a call, in the order in which it is written. */
export interface Body {
  model: string;
  messages: Message[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
}

export const COLUMNS_MAX = 4;
export const NOTHING_SET: Parameters = { system: "", temperature: "", top_p: "", max_tokens: "" };

const STORED = "relay-playground";

/** The messages that `column` sends as its turn after `before`: what it has been told and has answered, and the new prompt. */
export function bodyOf(
  column: Column,
  before: readonly Turn[],
  prompt: string,
  parameters: Parameters,
): Body {
  const messages: Message[] = [];
  if (parameters.system.trim() !== "") messages.push({ role: "system", content: parameters.system });
  for (const turn of before) {
    const answer = turn.answers[column.id];
    if (!answer || answer.text === "") continue;
    messages.push({ role: "user", content: turn.prompt }, { role: "assistant", content: answer.text });
  }
  messages.push({ role: "user", content: prompt });
  return {
    model: column.model,
    messages,
    ...numbered("temperature", parameters.temperature),
    ...numbered("top_p", parameters.top_p),
    ...numbered("max_tokens", parameters.max_tokens),
  };
}

function numbered<N extends string>(name: N, typed: string): { [name in N]?: number } {
  return isSet(typed) ? ({ [name]: Number(typed) } as { [name in N]: number }) : {};
}

function isSet(typed: string): boolean {
  return typed.trim() !== "" && Number.isFinite(Number(typed));
}

/** The parameters that are typed wrong. */
export function wrongParameters(parameters: Parameters): Set<keyof Parameters> {
  const wrong = new Set<keyof Parameters>();
  const check = (name: keyof Parameters, isRight: (value: number) => boolean) => {
    const typed = parameters[name].trim();
    if (typed !== "" && !(Number.isFinite(Number(typed)) && isRight(Number(typed)))) wrong.add(name);
  };
  check("temperature", (value) => value >= 0 && value <= 2);
  check("top_p", (value) => value >= 0 && value <= 1);
  check("max_tokens", (value) => Number.isInteger(value) && value >= 1);
  return wrong;
}

export function newId(): string {
  return Math.random().toString(36).slice(2, 10);
}

/** What this tab had before, or nothing. An answer that was still coming has been cut off with its page. */
export function stored(): Conversation | null {
  try {
    const text = sessionStorage.getItem(STORED);
    if (text === null) return null;
    const found = JSON.parse(text) as Conversation;
    for (const turn of found.turns) {
      for (const answer of Object.values(turn.answers)) {
        if (answer.status === "streaming") answer.status = "broken";
      }
    }
    return found.columns.length > 0 ? found : null;
  } catch {
    return null; // a browser that stores nothing, or what an older release wrote
  }
}

export function store(conversation: Conversation): void {
  try {
    sessionStorage.setItem(STORED, JSON.stringify(conversation));
  } catch {
    // a browser that stores nothing, or is full: the conversation lasts as long as the page
  }
}
