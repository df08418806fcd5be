import { useTranslation } from "react-i18next";
import { useLocation } from "wouter";
import { api } from "../../../api/client";
import { PageHeader } from "../../../ui/PageHeader";
import { to } from "../parts/addresses";
import { Back } from "../parts/Back";
import { ChannelForm, type ChannelValues, NEW_CHANNEL } from "./ChannelForm";
import { modelsOf, recordOf } from "./checks";

export default function NewChannel() {
  const { t } = useTranslation(["operator", "common"]);
  const [, go] = useLocation();
  return (
    <>
      <Back href="/operator/channels" label={t("common:navigation.channels")} />
      <PageHeader title={t("channels.new")} description={t("channels.newNote")} />
      <ChannelForm
        isNew
        initial={NEW_CHANNEL}
        submit={t("channel.make")}
        back="/operator/channels"
        run={make}
        onDone={(made) => go(`${to.channel(made.name)}?made=1`)}
      />
    </>
  );
}

function make(values: ChannelValues) {
  return api.post("/api/operator/channels", {
    body: {
      name: values.name.trim(),
      base_url: values.base_url.trim(),
      credential: values.credential,
      models: modelsOf(values.models),
      priority: Number(values.priority),
      weight: Number(values.weight),
      state: values.is_on ? "on" : "off",
      abort_policy: values.abort_policy,
      output_parameter: values.output_parameter,
      auth_header: values.auth_header,
      headers: recordOf(values.headers),
      set_parameters: recordOf(values.set_parameters),
      default_parameters: recordOf(values.default_parameters),
      drop_parameters: values.drop_parameters,
      slow_seconds: values.slow_seconds === "" ? null : Number(values.slow_seconds),
    },
  });
}
