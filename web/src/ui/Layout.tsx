import { useEffect, useRef } from "react";
import { Link, NavLink, Outlet, useLocation, useNavigate } from "react-router";
import { signedOut } from "../features/session/sessionSlice";
import { title } from "../labels";
import { useAppDispatch, useAppSelector } from "../store";
import { useStations } from "../useStations";
import { Cupcake } from "./Cupcake";
import { Icon, StageIcon } from "./Icon";
import styles from "./Layout.module.css";
import { ThemeToggle } from "./ThemeToggle";

/** The frame of every page: the brand, who is here, the way to other pages, and the page itself. */
export function Layout() {
  const main = useFocusOnNavigation();
  const { name } = useAppSelector((state) => state.session);
  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#main">
        Skip to the page
      </a>
      <header className={styles.header}>
        <Link to="/" className={styles.brand}>
          <Cupcake flavour="Strawberry" className={styles.logo} />
          eCupcakes
        </Link>
        {name && <span className={styles.who}>{name}</span>}
        <ThemeToggle />
        <PagesMenu />
      </header>
      <main id="main" ref={main} tabIndex={-1} className={styles.main}>
        <Outlet />
      </main>
    </div>
  );
}

function PagesMenu() {
  const { stations = [] } = useStations();
  const { name, role } = useAppSelector((state) => state.session);
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const menu = useRef<HTMLElement>(null);
  const close = () => menu.current?.hidePopover();
  return (
    <>
      <button type="button" className={styles.round} popoverTarget="pages" aria-label="Pages and sign-out">
        <Icon name="menu" />
      </button>
      <nav id="pages" popover="auto" ref={menu} className={styles.menu} aria-label="Pages">
        <ul>
          <li>
            <NavLink to="/create" onClick={close}>
              <Icon name="basket" /> Order cupcakes
            </NavLink>
          </li>
          {stations.map(({ page, role, stage }) => (
            <li key={stage}>
              <NavLink to={`/${page}`} onClick={close}>
                <StageIcon stage={stage} /> {title(role)}
              </NavLink>
            </li>
          ))}
          <li>
            <NavLink to="/dashboard" onClick={close}>
              <Icon name="chart" /> Dashboard
            </NavLink>
          </li>
        </ul>
        <div className={styles.session}>
          <Link to="/" onClick={close}>
            {role ? "Switch role" : "Choose a role"}
          </Link>
          {name && (
            <button
              type="button"
              onClick={() => {
                close();
                dispatch(signedOut());
                void navigate("/");
              }}
            >
              Sign out {name}
            </button>
          )}
        </div>
      </nav>
    </>
  );
}

/** Moves the focus to a page that was just opened, as a full page load would. */
function useFocusOnNavigation() {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [pathname]);
  return main;
}
