import { useCallback, useEffect, useReducer, useRef } from "react";
import { ApiError } from "../../../api/client";
import { refresh } from "../../../api/queries";
import {
  type Answer,
  type Body,
  bodyOf,
  COLUMNS_MAX,
  type Column,
  type Conversation,
  NOTHING_SET,
  newId,
  type Parameters,
  store,
  stored,
  type Turn,
} from "./conversation";
import { answerOf } from "./stream";

const SHOWN_EVERY_MS = 60;
const STORED_AFTER_MS = 400;

type Change =
  | { do: "columns"; columns: Column[] }
  | { do: "parameters"; parameters: Partial<Parameters> }
  | { do: "turn"; turn: Turn }
  | { do: "answer"; turnId: string; columnId: string; answer: Answer }
  | { do: "clear" };

function changed(now: Conversation, change: Change): Conversation {
  switch (change.do) {
    case "columns":
      return { ...now, columns: change.columns };
    case "parameters":
      return { ...now, parameters: { ...now.parameters, ...change.parameters } };
    case "turn":
      return { ...now, turns: [...now.turns, change.turn] };
    case "answer":
      return {
        ...now,
        turns: now.turns.map((turn) =>
          turn.id === change.turnId
            ? { ...turn, answers: { ...turn.answers, [change.columnId]: change.answer } }
            : turn,
        ),
      };
    case "clear":
      return { ...now, turns: [] };
  }
}

/** The conversation of this tab and what can be done with it. */
export function useConversation(firstModel: string) {
  const [conversation, dispatch] = useReducer(
    changed,
    firstModel,
    (model): Conversation =>
      stored() ?? { columns: [{ id: newId(), model }], parameters: NOTHING_SET, turns: [] },
  );
  const running = useRef(new Map<string, AbortController>());
  useStored(conversation);
  useEffect(() => {
    const calls = running.current;
    return () => {
      for (const call of calls.values()) call.abort();
    };
  }, []);

  const { columns, parameters, turns } = conversation;
  const ask = useCallback(async (turn: Pick<Turn, "id">, column: Column, body: Body, given: Parameters) => {
    const call = new AbortController();
    running.current.get(column.id)?.abort();
    running.current.set(column.id, call);
    await follow(body, given, call.signal, (answer) =>
      dispatch({ do: "answer", turnId: turn.id, columnId: column.id, answer }),
    );
    if (running.current.get(column.id) === call) running.current.delete(column.id);
    void refresh("/api/wallet");
  }, []);
  const send = (prompt: string) => {
    const turn: Turn = { id: newId(), prompt, answers: {} };
    dispatch({ do: "turn", turn });
    for (const column of columns)
      void ask(turn, column, bodyOf(column, turns, prompt, parameters), parameters);
  };
  /** Asks once more for the last answer of a column, with what is set now. */
  const again = (column: Column) => {
    const last = turns.at(-1);
    if (last) void ask(last, column, bodyOf(column, turns.slice(0, -1), last.prompt, parameters), parameters);
  };
  const stop = () => {
    for (const call of running.current.values()) call.abort();
  };
  return {
    conversation,
    isBusy: turns.some((turn) => Object.values(turn.answers).some((answer) => answer.status === "streaming")),
    send,
    again,
    stop,
    clear: () => {
      stop();
      dispatch({ do: "clear" });
    },
    set: (change: Partial<Parameters>) => dispatch({ do: "parameters", parameters: change }),
    choose: (columnId: string, model: string) =>
      dispatch({
        do: "columns",
        columns: columns.map((each) => (each.id === columnId ? { ...each, model } : each)),
      }),
    add: (model: string) => {
      if (columns.length < COLUMNS_MAX)
        dispatch({ do: "columns", columns: [...columns, { id: newId(), model }] });
    },
    remove: (columnId: string) => {
      running.current.get(columnId)?.abort();
      dispatch({ do: "columns", columns: columns.filter((each) => each.id !== columnId) });
    },
  };
}

/** Makes a call and shows the answer as it comes, not more often than a person can see. It never raises. */
async function follow(
  body: Body,
  parameters: Parameters,
  signal: AbortSignal,
  show: (answer: Answer) => void,
): Promise<void> {
  const began = performance.now();
  let answer: Answer = {
    model: body.model,
    parameters,
    status: "streaming",
    text: "",
    reasoning: "",
    problem: null,
    code: null,
    requestId: null,
    usage: null,
    finish: null,
    firstMs: null,
    tookMs: null,
  };
  let shownAt = began;
  const add = (more: Partial<Answer>) => {
    answer = { ...answer, ...more };
  };
  show(answer);
  try {
    for await (const piece of answerOf(body, signal)) {
      if (piece.kind === "accepted") add({ requestId: piece.requestId });
      else if (piece.kind === "usage") add({ usage: piece.usage });
      else if (piece.kind === "finish") add({ finish: piece.reason });
      else {
        add({ firstMs: answer.firstMs ?? Math.round(performance.now() - began) });
        if (piece.kind === "text") add({ text: answer.text + piece.text });
        else add({ reasoning: answer.reasoning + piece.text });
      }
      if (performance.now() - shownAt >= SHOWN_EVERY_MS) {
        show(answer);
        shownAt = performance.now();
      }
    }
    add({ status: "done" });
  } catch (error) {
    if (signal.aborted) add({ status: "stopped" });
    else if (error instanceof ApiError) {
      add({
        status: "failed",
        problem: error.message,
        code: error.code,
        requestId: answer.requestId ?? error.requestId,
      });
    } else add({ status: "broken" });
  }
  add({ tookMs: Math.round(performance.now() - began) });
  show(answer);
}

function useStored(conversation: Conversation): void {
  const latest = useRef(conversation);
  latest.current = conversation;
  useEffect(() => {
    const timer = setTimeout(() => store(conversation), STORED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [conversation]);
  useEffect(() => {
    const keep = () => store(latest.current);
    window.addEventListener("pagehide", keep);
    return () => {
      window.removeEventListener("pagehide", keep);
      keep();
    };
  }, []);
}
