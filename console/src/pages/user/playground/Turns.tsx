import { Text } from "@mantine/core";
import { IconMessages } from "@tabler/icons-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Empty } from "../../../ui/Empty";
import { AnswerView } from "./AnswerView";
import { type Body, bodyOf, type Column, type Turn } from "./conversation";
import classes from "./Playground.module.css";

/** What was said, and below each prompt the answers side by side. New text keeps in view for whoever is at the end. */
export function Turns({
  columns,
  turns,
  isBusy,
  again,
  showCode,
}: {
  columns: readonly Column[];
  turns: readonly Turn[];
  isBusy: boolean;
  again: (column: Column) => void;
  showCode: (calls: { label: string; body: Body }[]) => void;
}) {
  const { t } = useTranslation("user");
  useEndInView(turns);
  if (turns.length === 0) {
    return (
      <div className={classes.empty}>
        <Empty Icon={IconMessages} title={t("playground.empty")}>
          {t("playground.emptyText")}
        </Empty>
      </div>
    );
  }
  return (
    <section className={classes.turns} aria-label={t("playground.conversation")} aria-busy={isBusy}>
      {turns.map((turn, index) => (
        <article
          key={turn.id}
          className={classes.turn}
          aria-label={t("playground.turn", { number: index + 1 })}
        >
          <div className={classes.prompt}>{turn.prompt}</div>
          <div className={classes.grid} data-columns={columns.length}>
            {columns.map((column) => {
              const answer = turn.answers[column.id];
              if (!answer) {
                return (
                  <Text key={column.id} size="sm" c="dimmed" className={classes.answer}>
                    {t("playground.notAsked")}
                  </Text>
                );
              }
              const asked = { id: column.id, model: answer.model };
              return (
                <AnswerView
                  key={column.id}
                  of={answer}
                  {...(index === turns.length - 1 && !isBusy ? { again: () => again(column) } : {})}
                  showCode={() =>
                    showCode([
                      {
                        label: answer.model,
                        body: bodyOf(asked, turns.slice(0, index), turn.prompt, answer.parameters),
                      },
                    ])
                  }
                />
              );
            })}
          </div>
        </article>
      ))}
    </section>
  );
}

const NEAR_PIXELS = 120;

function useEndInView(turns: readonly Turn[]): void {
  const isAtEnd = useRef(true);
  const count = useRef(turns.length);
  useEffect(() => {
    const look = () => {
      const { scrollHeight, clientHeight } = document.documentElement;
      isAtEnd.current = scrollHeight - clientHeight - window.scrollY < NEAR_PIXELS;
    };
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, []);
  useEffect(() => {
    const isNewTurn = turns.length > count.current;
    count.current = turns.length;
    if (isAtEnd.current || isNewTurn) window.scrollTo({ top: document.documentElement.scrollHeight });
  }, [turns]);
}
