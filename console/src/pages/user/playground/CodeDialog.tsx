import { Modal, SegmentedControl, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { siteQuery } from "../../../api/queries";
import { CodeTabs } from "../../../ui/CodeBlock";
import { useLast } from "../parts/useLast";
import { codesOf } from "./code";
import type { Body } from "./conversation";

/** A call as code; of several calls one at a time. */
export function CodeDialog({
  calls,
  close,
}: {
  calls: readonly { label: string; body: Body }[] | null;
  close: () => void;
}) {
  const { t } = useTranslation(["user", "common"]);
  const site = useQuery(siteQuery()).data;
  const [chosen, choose] = useState("0");
  const shown = useLast(calls ?? undefined) ?? [];
  const call = shown[Number(chosen)] ?? shown[0];
  return (
    <Modal
      opened={calls !== null}
      onClose={close}
      title={t("playground.codeTitle")}
      size="xl"
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <Stack>
        {shown.length > 1 && (
          <SegmentedControl
            aria-label={t("playground.model")}
            value={shown[Number(chosen)] ? chosen : "0"}
            onChange={choose}
            data={shown.map(({ label }, index) => ({ value: String(index), label }))}
          />
        )}
        {call && site && <CodeTabs codes={codesOf(call.body, site.base_url)} />}
        <Text size="sm" c="dimmed">
          {t("playground.codeKey")}{" "}
          <Link href="/keys" style={{ color: "var(--mantine-color-anchor)" }}>
            {t("playground.codeKeys")}
          </Link>
        </Text>
      </Stack>
    </Modal>
  );
}
