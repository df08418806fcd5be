import { Component, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Trouble } from "../ui/ErrorState";

/** Catches what breaks in a page, mostly code of a release that is gone, so that the navigation stays. */
export class Boundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override render() {
    return this.state.isBroken ? <Broken /> : this.props.children;
  }
}

function Broken() {
  const { t } = useTranslation("common");
  return (
    <Trouble
      title={t("error.brokenTitle")}
      message={t("error.broken")}
      action={{ label: t("error.reload"), run: () => window.location.reload() }}
    />
  );
}
