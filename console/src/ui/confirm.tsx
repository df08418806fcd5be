import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { createContext, type ReactNode, useCallback, useContext, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

interface Question {
  title: string;
  message: ReactNode;
  /** What the button says that does it, a verb. */
  confirm: string;
  isDangerous?: boolean;
}

const Asking = createContext<(question: Question) => Promise<boolean>>(async () => false);

/** Asks before something is done: `if (await confirm({ title, message, confirm: t("end") })) …`. */
export function useConfirm(): (question: Question) => Promise<boolean> {
  return useContext(Asking);
}

/** Holds the dialog of `useConfirm`. */
export function ConfirmProvider({ children }: { children: ReactNode }) {
  const { t } = useTranslation("common");
  const [question, setQuestion] = useState<Question | null>(null);
  const [isOpen, setOpen] = useState(false);
  const settle = useRef<(isConfirmed: boolean) => void>(() => undefined);
  const ask = useCallback(
    (asked: Question) =>
      new Promise<boolean>((resolve) => {
        settle.current(false);
        settle.current = resolve;
        setQuestion(asked);
        setOpen(true);
      }),
    [],
  );
  const answer = (isConfirmed: boolean) => {
    settle.current(isConfirmed);
    setOpen(false);
  };
  return (
    <Asking value={ask}>
      {children}
      <Modal
        opened={isOpen}
        onClose={() => answer(false)}
        title={question?.title}
        centered
        // Above the dialog or drawer in which it was asked; below the one that asks who the person is.
        zIndex={300}
        closeButtonProps={{ "aria-label": t("close") }}
      >
        <Stack gap="lg">
          <Text size="sm" component="div">
            {question?.message}
          </Text>
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={() => answer(false)}>
              {t("cancel")}
            </Button>
            <Button
              {...(question?.isDangerous ? { color: "red" } : {})}
              onClick={() => answer(true)}
              data-autofocus
            >
              {question?.confirm}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Asking>
  );
}
