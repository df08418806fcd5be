import { Alert, Button, Group, Stack, TextInput } from "@mantine/core";
import { IconCircleCheck } from "@tabler/icons-react";
import { useState } from "react";
import { Trans, useTranslation } from "react-i18next";
import { ApiError, api, asApiError } from "../../../api/client";
import type { Shape } from "../../../api/queries";
import { FormProblem, useFields } from "../../../ui/useFields";
import { Usd } from "../../../ui/values";
import { CHARACTERS, readCode } from "./code";

const EXAMPLE = "RELAY-XXXXX-XXXXX-XXXXX-XXXXX-XXXXX";

/** Redeems a code, however it was typed, and says what there is now. */
export function Redeem() {
  const { t } = useTranslation("user");
  const [redeemed, setRedeemed] = useState<Shape<"Redeemed"> | null>(null);
  const { form, problem, isBusy, submit } = useFields({
    initialValues: { code: "" },
    validate: {
      code: (typed: string) => {
        const { length, strange, isWhole } = readCode(typed);
        if (length === 0) return t("wallet.codeNeeded");
        if (strange !== null) return t("wallet.codeStrange", { character: strange });
        return isWhole ? null : t("wallet.codeLength", { wanted: CHARACTERS, count: length });
      },
    },
    refreshes: ["/api/wallet", "/api/wallet/transfers"],
    run: async ({ code }) => {
      setRedeemed(null);
      try {
        return await api.post("/api/wallet/codes", { body: { code: readCode(code).printed } });
      } catch (error) {
        throw aboutCode(asApiError(error));
      }
    },
    onDone: (answer) => {
      setRedeemed(answer);
      form.reset();
    },
  });
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="sm">
        <TextInput
          label={t("wallet.code")}
          placeholder={EXAMPLE}
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: "0.8125rem" } }}
          {...form.getInputProps("code")}
          onBlur={() => {
            const { printed, isWhole } = readCode(form.values.code);
            if (isWhole) form.setFieldValue("code", printed);
          }}
        />
        <FormProblem problem={problem} />
        <Group>
          <Button type="submit" loading={isBusy}>
            {t("wallet.redeemDo")}
          </Button>
        </Group>
        <div role="status">
          {redeemed && (
            <Alert
              color={redeemed.is_repeat ? "yellow" : "green"}
              variant="light"
              icon={<IconCircleCheck size={18} aria-hidden />}
            >
              <Trans
                t={t}
                i18nKey={redeemed.is_repeat ? "wallet.redeemedBefore" : "wallet.redeemed"}
                components={{
                  amount: <Usd value={redeemed.amount_usd} />,
                  available: <Usd value={redeemed.available_usd} />,
                }}
              />
            </Alert>
          )}
        </div>
      </Stack>
    </form>
  );
}

/** What is wrong with a code stands beside the field, whether the server names it or not. */
function aboutCode(error: ApiError): ApiError {
  const isAboutCode = error.code.startsWith("code_") || error.status === 404;
  if (error.param !== null || !isAboutCode) return error;
  return new ApiError(error.message, { ...error, param: "code" });
}
