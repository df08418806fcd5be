import { Alert } from "@mantine/core";
import { type FormErrors, type UseFormInput, type UseFormReturnType, useForm } from "@mantine/form";
import { IconAlertCircle } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { type ApiError, asApiError, type PathOf } from "../api/client";
import { refresh } from "../api/queries";

interface Fields<V extends Record<string, unknown>> {
  form: UseFormReturnType<V>;
  /** What went wrong that belongs to no field; `FormProblem` shows it. */
  problem: ApiError | null;
  isBusy: boolean;
  submit: (event?: FormEvent<HTMLFormElement>) => void;
}

/**
 * A form that the server has the last word on: an error of the API stands beside the field that its `param` names (`limits.spend_day_usd`
 * finds the field of that path, or the first part of it that is one), and has the focus; any other is `problem`.
 */
export function useFields<V extends Record<string, unknown>, T>({
  run,
  refreshes = [],
  onDone,
  names = {},
  ...input
}: UseFormInput<V> & {
  initialValues: V;
  run: (values: V) => Promise<T>;
  refreshes?: PathOf<"get">[];
  onDone?: (answer: T, values: V) => void;
  /** Which field shows the error of a `param` that has another name. */
  names?: Record<string, string>;
}): Fields<V> {
  const form = useForm<V>({
    ...input,
    onSubmitPreventDefault: "always",
    // Mantine's inputs say it themselves, but for the one of passwords.
    enhanceGetInputProps: ({ inputProps }) => (inputProps.error ? { "aria-invalid": true } : {}),
  } as UseFormInput<V>) as UseFormReturnType<V>;
  const [problem, setProblem] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);

  const send = async (values: V) => {
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    try {
      const answer = await run(values);
      await refresh(...refreshes);
      onDone?.(answer, values);
    } catch (error) {
      const known = asApiError(error);
      if (known.isDismissed) return;
      const field = fieldOf(known.param, form.getValues(), names);
      if (field) {
        form.setFieldError(field, known.message);
        form.getInputNode(field)?.focus();
      } else {
        setProblem(known);
      }
    } finally {
      setBusy(false);
    }
  };
  const focusFirst = (errors: FormErrors) => {
    const first = Object.keys(errors)[0];
    if (first) form.getInputNode(first)?.focus();
  };
  return { form, problem, isBusy, submit: form.onSubmit((values) => void send(values as V), focusFirst) };
}

/** What went wrong with a whole form, above its buttons. */
export function FormProblem({ problem }: { problem: ApiError | null }) {
  if (!problem) return null;
  return (
    <Alert color="red" variant="light" role="alert" icon={<IconAlertCircle size={18} aria-hidden />}>
      {problem.message}
    </Alert>
  );
}

function fieldOf(
  param: string | null,
  values: Record<string, unknown>,
  names: Record<string, string>,
): string | null {
  if (!param) return null;
  const known = names[param];
  if (known) return known;
  const parts = param.split(".");
  for (let length = parts.length; length > 0; length -= 1) {
    const candidate = parts.slice(0, length);
    let value: unknown = values;
    const exists = candidate.every((part) => {
      if (typeof value !== "object" || value === null || !(part in value)) return false;
      value = (value as Record<string, unknown>)[part];
      return true;
    });
    if (exists) return candidate.join(".");
  }
  return null;
}
