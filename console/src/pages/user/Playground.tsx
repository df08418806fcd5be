import { Button, Group } from "@mantine/core";
import { IconAdjustments, IconCode, IconMessageOff, IconPlus, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { apiQuery, type Shape } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { PageHeader } from "../../ui/PageHeader";
import { CodeDialog } from "./playground/CodeDialog";
import { Columns } from "./playground/Columns";
import { Composer } from "./playground/Composer";
import { type Body, bodyOf, COLUMNS_MAX, wrongParameters } from "./playground/conversation";
import { ParameterPanel } from "./playground/ParameterPanel";
import classes from "./playground/Playground.module.css";
import { Turns } from "./playground/Turns";
import { useConversation } from "./playground/useConversation";

/** Chat with one model or several side by side, through the person's own session. */
export default function Playground() {
  const { t } = useTranslation("user");
  const models = useQuery(apiQuery("/api/models"));
  return (
    <Loaded query={models}>
      {({ items }) => {
        const [first] = items;
        if (first) return <Chat models={items} firstModel={first.id} />;
        return (
          <>
            <PageHeader title={t("playground.title")} />
            <Empty Icon={IconMessageOff} title={t("playground.noModels")}>
              {t("playground.noModelsText")}
            </Empty>
          </>
        );
      }}
    </Loaded>
  );
}

function Chat({ models, firstModel }: { models: readonly Shape<"Model">[]; firstModel: string }) {
  const { t } = useTranslation("user");
  const chat = useConversation(firstModel);
  const { columns, parameters, turns } = chat.conversation;
  const [draft, setDraft] = useState("");
  const [isSetting, setSetting] = useState(false);
  const [code, showCode] = useState<{ label: string; body: Body }[] | null>(null);
  const names = models.map((model) => model.id);
  const wrong = wrongParameters(parameters);

  const showDraft = () => {
    const last = turns.at(-1);
    // Before anything is typed, the call that was made last is the one that is meant.
    const [before, prompt] =
      draft.trim() === "" && last
        ? [turns.slice(0, -1), last.prompt]
        : [turns, draft.trim() || t("playground.sample")];
    showCode(
      columns.map((column) => ({ label: column.model, body: bodyOf(column, before, prompt, parameters) })),
    );
  };
  return (
    <div className={classes.page}>
      <PageHeader
        title={t("playground.title")}
        actions={
          <>
            <Button
              variant={wrong.size > 0 ? "light" : "default"}
              {...(wrong.size > 0 ? { color: "red" } : {})}
              leftSection={<IconAdjustments size={16} aria-hidden />}
              onClick={() => setSetting(true)}
            >
              {t("playground.parameters")}
            </Button>
            <Button variant="default" leftSection={<IconCode size={16} aria-hidden />} onClick={showDraft}>
              {t("playground.showCode")}
            </Button>
            <Button
              variant="default"
              leftSection={<IconTrash size={16} aria-hidden />}
              onClick={chat.clear}
              disabled={turns.length === 0}
            >
              {t("playground.clear")}
            </Button>
          </>
        }
      />
      <div className={classes.columnsBar}>
        <Columns columns={columns} models={names} choose={chat.choose} remove={chat.remove} />
        {columns.length < COLUMNS_MAX && (
          <Button
            variant="subtle"
            size="sm"
            leftSection={<IconPlus size={16} aria-hidden />}
            onClick={() =>
              chat.add(names.find((name) => !columns.some(({ model }) => model === name)) ?? firstModel)
            }
          >
            {t("playground.add")}
          </Button>
        )}
      </div>
      <Turns columns={columns} turns={turns} isBusy={chat.isBusy} again={chat.again} showCode={showCode} />
      <Composer
        draft={draft}
        setDraft={setDraft}
        isBusy={chat.isBusy}
        isReady={wrong.size === 0}
        send={() => {
          chat.send(draft.trim());
          setDraft("");
        }}
        stop={chat.stop}
      />
      <Group justify="center" mt={6} fz="xs" c="dimmed" ta="center">
        {t("playground.kept")}
      </Group>
      <ParameterPanel
        isOpen={isSetting}
        close={() => setSetting(false)}
        parameters={parameters}
        wrong={wrong}
        set={chat.set}
      />
      <CodeDialog calls={code} close={() => showCode(null)} />
    </div>
  );
}
