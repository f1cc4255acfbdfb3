import { useState, type ReactNode } from "react";
import { useLocation } from "wouter";
import { useTranslation } from "../../i18n";
import { doneWord, roleTitle } from "../../labels";
import { useAppDispatch, useAppSelector } from "../../store";
import { Button } from "../../ui/Button";
import { Cupcake } from "../../ui/Cupcake";
import { Icon, StageIcon } from "../../ui/Icon";
import { useStations } from "../../useStations";
import styles from "./SignInPage.module.css";
import { signedIn } from "./sessionSlice";

interface Role {
  role: string;
  label: string;
  page: string;
  icon: ReactNode;
  hint: string;
}

export default function SignInPage() {
  const { t } = useTranslation();
  const session = useAppSelector((state) => state.session);
  const dispatch = useAppDispatch();
  const [, navigate] = useLocation();
  const roles = useRoles();
  const [name, setName] = useState(session.name);
  const [chosen, setChosen] = useState(session.role || "customer");
  const page = roles.find(({ role }) => role === chosen)?.page ?? "/create";

  return (
    <div className={styles.page}>
      <title>{`${t("welcome.title")} · eCupcakes`}</title>
      <div className={styles.welcome}>
        <div className={styles.cupcakes}>
          {["Chocolate", "Strawberry", "Vanilla"].map((flavour) => (
            <Cupcake key={flavour} flavour={flavour} />
          ))}
        </div>
        <h1>{t("welcome.heading")}</h1>
        <p>{t("welcome.text")}</p>
      </div>

      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          dispatch(signedIn({ name: name.trim(), role: chosen }));
          navigate(page);
        }}
      >
        <label className={styles.name}>
          <span>{t("welcome.name")}</span>
          <input value={name} onChange={(event) => { setName(event.target.value); }} autoComplete="given-name" maxLength={60} required />
        </label>
        <fieldset>
          <legend>{t("welcome.as")}</legend>
          <div className={styles.roles}>
            {roles.map(({ role, label, icon, hint }) => (
              <label key={role} className={styles.role}>
                <input type="radio" name="role" value={role} checked={role === chosen} onChange={() => { setChosen(role); }} />
                {icon}
                <span>
                  <b>{label}</b>
                  <small>{hint}</small>
                </span>
              </label>
            ))}
          </div>
        </fieldset>
        <Button type="submit" look="main" size="kitchen">
          {t("welcome.start")}
        </Button>
        <p className={styles.honest}>{t("welcome.honest")}</p>
      </form>
    </div>
  );
}

function useRoles(): Role[] {
  const { t } = useTranslation();
  const { stations = [] } = useStations();
  return [
    { role: "customer", label: t("welcome.customer"), page: "/create", icon: <Icon name="basket" />, hint: t("welcome.customerHint") },
    ...stations.map(({ role, page, stage, done }) => ({
      role,
      label: roleTitle(role),
      page: `/${page}`,
      icon: <StageIcon stage={stage} />,
      hint: t("welcome.workerHint", { done: doneWord(done) }),
    })),
    { role: "manager", label: t("welcome.manager"), page: "/dashboard", icon: <Icon name="chart" />, hint: t("welcome.managerHint") },
  ];
}
