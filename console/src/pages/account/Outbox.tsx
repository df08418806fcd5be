import "../../theme/full";
import { Anchor, Group, Paper, Stack, Text } from "@mantine/core";
import { IconMailOff } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import { apiQuery } from "../../api/queries";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { PageHeader } from "../../ui/PageHeader";
import { Moment } from "../../ui/values";

/** Messages that no mail server took, for whoever runs Relay on their own machine. */
export default function Outbox() {
  const { t } = useTranslation("account");
  const query = useQuery({ ...apiQuery("/api/outbox"), refetchInterval: 5000 });
  return (
    <Stack maw={760} mx="auto" gap={0}>
      <PageHeader title={t("outbox.title")} description={t("outbox.description")} />
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Paper withBorder radius="lg">
              <Empty Icon={IconMailOff} title={t("outbox.emptyTitle")}>
                {t("outbox.empty")}
              </Empty>
            </Paper>
          ) : (
            <Stack>
              {items.map((message) => (
                <Paper key={message.id} withBorder radius="lg" p="lg" component="article">
                  <Group justify="space-between" gap="xs" mb={2}>
                    <Text fw={600} component="h2" size="md" m={0}>
                      {message.subject}
                    </Text>
                    <Text size="xs" c="dimmed" component="div">
                      <Moment seconds={message.created} />
                    </Text>
                  </Group>
                  <Text size="sm" c="dimmed" mb="sm">
                    {t("outbox.to", { address: message.to })}
                  </Text>
                  <Text
                    size="sm"
                    component="div"
                    style={{ whiteSpace: "pre-line", overflowWrap: "anywhere" }}
                  >
                    <Linked text={message.body} />
                  </Text>
                </Paper>
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Stack>
  );
}

/** Plain text, in which addresses can be clicked. */
function Linked({ text }: { text: string }) {
  const parts = text
    .split(/(https?:\/\/\S+)/)
    .map((part, place) => ({ part, place, isAddress: place % 2 === 1 }));
  return parts.map(({ part, place, isAddress }) =>
    isAddress ? (
      <Anchor key={place} href={part} inherit>
        {part}
      </Anchor>
    ) : (
      <Fragment key={place}>{part}</Fragment>
    ),
  );
}
