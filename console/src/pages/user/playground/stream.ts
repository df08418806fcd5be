import { ApiError, openStream } from "../../../api/client";
import type { Body, Usage } from "./conversation";

/** What comes of a streamed answer, bit by bit. */
export type Piece =
  | { kind: "accepted"; requestId: string | null }
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "usage"; usage: Usage }
  | { kind: "finish"; reason: string };

/** The stream ended before it said that it was whole. */
export class Broken extends Error {}

interface Chunk {
  error?: { message?: unknown; code?: unknown };
  choices?: {
    delta?: { content?: unknown; reasoning_content?: unknown; reasoning?: unknown };
    finish_reason?: unknown;
  }[];
  usage?: Partial<Usage> | null;
}

/**
 * Asks for an answer and yields what comes of it. It ends when the server has said that all is there.
 * Raises ApiError for an error, before the stream or inside it, and Broken for a stream that just stops.
 */
export async function* answerOf(body: Body, signal: AbortSignal): AsyncGenerator<Piece> {
  const response = await openStream(
    "/api/playground/chat/completions",
    { ...body, stream: true, stream_options: { include_usage: true } },
    signal,
  );
  const requestId = response.headers.get("x-request-id");
  yield { kind: "accepted", requestId };
  for await (const data of eventsOf(response, signal)) {
    if (data === "[DONE]") return;
    let chunk: Chunk;
    try {
      chunk = JSON.parse(data) as Chunk;
    } catch {
      throw new Broken();
    }
    if (chunk.error) throw errorOf(chunk.error, requestId);
    yield* piecesOf(chunk);
  }
  throw new Broken();
}

function* piecesOf(chunk: Chunk): Generator<Piece> {
  const choice = chunk.choices?.[0];
  const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
  if (typeof reasoning === "string" && reasoning !== "") yield { kind: "reasoning", text: reasoning };
  const text = choice?.delta?.content;
  if (typeof text === "string" && text !== "") yield { kind: "text", text };
  if (typeof choice?.finish_reason === "string") yield { kind: "finish", reason: choice.finish_reason };
  const { prompt_tokens, completion_tokens } = chunk.usage ?? {};
  if (typeof prompt_tokens === "number" && typeof completion_tokens === "number") {
    yield { kind: "usage", usage: { prompt_tokens, completion_tokens } };
  }
}

/** The data of each server-sent event; https://html.spec.whatwg.org/multipage/server-sent-events.html */
async function* eventsOf(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  if (!response.body) throw new Broken();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
        else if (line === "" && data.length > 0) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Broken(); // the connection was cut in the middle of the body
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function errorOf(error: NonNullable<Chunk["error"]>, requestId: string | null): ApiError {
  const message = typeof error.message === "string" ? error.message : "";
  const code = typeof error.code === "string" ? error.code : "";
  return new ApiError(message, { status: 200, code, requestId });
}
