import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useLocation, useParams } from "wouter";
import { api } from "../../../api/client";
import { apiQuery, type Shape } from "../../../api/queries";
import { Loaded } from "../../../ui/Loaded";
import { PageHeader } from "../../../ui/PageHeader";
import { decoded, to } from "../parts/addresses";
import { Back } from "../parts/Back";
import { ChannelForm, type ChannelValues, valuesOf } from "./ChannelForm";
import { modelsOf, recordOf } from "./checks";

export default function EditChannel() {
  const { t } = useTranslation("operator");
  const [, go] = useLocation();
  const name = decoded(useParams<{ name: string }>().name);
  const query = useQuery(apiQuery("/api/operator/channels/{name}", { path: { name } }));
  return (
    <>
      <Back href={to.channel(name)} label={name} />
      <PageHeader title={t("channel.editOf", { name })} description={t("channel.editNote")} />
      <Loaded query={query}>
        {(channel) => (
          <ChannelForm
            isNew={false}
            initial={valuesOf(channel)}
            submit={t("save")}
            back={to.channel(name)}
            run={(values) => change(channel, values)}
            onDone={() => go(to.channel(name))}
          />
        )}
      </Loaded>
    </>
  );
}

/** Sends what differs from what was read, so that the rest stays as somebody else may have made it meanwhile. */
function change(channel: Shape<"Channel">, values: ChannelValues): Promise<Shape<"Channel">> {
  const wanted = {
    base_url: values.base_url.trim(),
    models: modelsOf(values.models),
    priority: Number(values.priority),
    weight: Number(values.weight),
    abort_policy: values.abort_policy,
    output_parameter: values.output_parameter,
    auth_header: values.auth_header,
    headers: recordOf(values.headers),
    set_parameters: recordOf(values.set_parameters),
    default_parameters: recordOf(values.default_parameters),
    drop_parameters: values.drop_parameters,
    slow_seconds: values.slow_seconds === "" ? null : Number(values.slow_seconds),
  };
  const changes: Shape<"UpdateChannel"> = Object.fromEntries(
    Object.entries(wanted).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(channel[name as keyof typeof wanted]),
    ),
  );
  // None leaves a field as it is; zero goes back to the setting.
  if (changes.slow_seconds === null) changes.slow_seconds = 0;
  return api.patch("/api/operator/channels/{name}", { path: { name: channel.name }, body: changes });
}
