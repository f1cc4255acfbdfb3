import { useState, type ReactNode } from "react";
import { useNavigate } from "react-router";
import { title } from "../../labels";
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

export function SignInPage() {
  const session = useAppSelector((state) => state.session);
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const roles = useRoles();
  const [name, setName] = useState(session.name);
  const [chosen, setChosen] = useState(session.role || "customer");
  const page = roles.find(({ role }) => role === chosen)?.page ?? "/create";

  return (
    <div className={styles.page}>
      <title>Welcome · eCupcakes</title>
      <div className={styles.welcome}>
        <div className={styles.cupcakes}>
          {["Chocolate", "Strawberry", "Vanilla"].map((flavour) => (
            <Cupcake key={flavour} flavour={flavour} />
          ))}
        </div>
        <h1>Fresh cupcakes, one step at a time</h1>
        <p>Mixed, baked, decorated, boxed and shipped. Everybody on the line sees an order the moment it is theirs.</p>
      </div>

      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          dispatch(signedIn({ name: name.trim(), role: chosen }));
          void navigate(page);
        }}
      >
        <label className={styles.name}>
          <span>Your name</span>
          <input value={name} onChange={(event) => { setName(event.target.value); }} autoComplete="given-name" maxLength={60} required />
        </label>
        <fieldset>
          <legend>I am here as</legend>
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
          Start
        </Button>
        <p className={styles.honest}>This picks a page and remembers a name. It is not a login and protects nothing.</p>
      </form>
    </div>
  );
}

function useRoles(): Role[] {
  const { stations = [] } = useStations();
  return [
    { role: "customer", label: "Customer", page: "/create", icon: <Icon name="basket" />, hint: "Orders cupcakes" },
    ...stations.map(({ role, page, stage, done }) => ({
      role,
      label: title(role),
      page: `/${page}`,
      icon: <StageIcon stage={stage} />,
      hint: `Orders to be ${done}`,
    })),
    { role: "manager", label: "Manager", page: "/dashboard", icon: <Icon name="chart" />, hint: "Sees the whole line" },
  ];
}
