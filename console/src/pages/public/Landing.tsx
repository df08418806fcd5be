import { useSiteName } from "../../app/useSite";
import { PageHeader } from "../../ui/PageHeader";

export default function Landing() {
  return <PageHeader title={useSiteName()} />;
}
