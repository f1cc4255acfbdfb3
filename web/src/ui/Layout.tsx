import { Suspense, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Link, NavLink, Outlet, useLocation, useNavigate } from "react-router";
import { signedOut } from "../features/session/sessionSlice";
import { roleTitle } from "../labels";
import { useAppDispatch, useAppSelector } from "../store";
import { useStations } from "../useStations";
import { Cupcake } from "./Cupcake";
import { Icon, StageIcon } from "./Icon";
import { LanguageToggle } from "./LanguageToggle";
import styles from "./Layout.module.css";
import { ThemeToggle } from "./ThemeToggle";

/** The frame of every page: the brand, who is here, the way to other pages, and the page itself. */
export function Layout() {
  const { t } = useTranslation();
  const main = useFocusOnNavigation();
  const { name } = useAppSelector((state) => state.session);
  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#main">
        {t("layout.skip")}
      </a>
      <header className={styles.header}>
        <Link to="/" className={styles.brand}>
          <Cupcake flavour="Strawberry" className={styles.logo} />
          eCupcakes
        </Link>
        {name && <span className={styles.who}>{name}</span>}
        <LanguageToggle />
        <ThemeToggle />
        <PagesMenu />
      </header>
      <main id="main" ref={main} tabIndex={-1} className={styles.main}>
        <Suspense fallback={<p>{t("layout.loading")}</p>}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}

function PagesMenu() {
  const { t } = useTranslation();
  const { stations = [] } = useStations();
  const { name, role } = useAppSelector((state) => state.session);
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const menu = useRef<HTMLElement>(null);
  const close = () => menu.current?.hidePopover();
  return (
    <>
      <button type="button" className={styles.round} popoverTarget="pages" aria-label={t("layout.menu")}>
        <Icon name="menu" />
      </button>
      <nav id="pages" popover="auto" ref={menu} className={styles.menu} aria-label={t("layout.pages")}>
        <ul>
          <li>
            <NavLink to="/create" onClick={close}>
              <Icon name="basket" /> {t("layout.order")}
            </NavLink>
          </li>
          {stations.map(({ page, role, stage }) => (
            <li key={stage}>
              <NavLink to={`/${page}`} onClick={close}>
                <StageIcon stage={stage} /> {roleTitle(role)}
              </NavLink>
            </li>
          ))}
          <li>
            <NavLink to="/board" onClick={close}>
              <Icon name="bell" /> {t("layout.board")}
            </NavLink>
          </li>
          <li>
            <NavLink to="/dashboard" onClick={close}>
              <Icon name="chart" /> {t("layout.dashboard")}
            </NavLink>
          </li>
        </ul>
        <div className={styles.session}>
          <Link to="/" onClick={close}>
            {role ? t("layout.switchRole") : t("layout.chooseRole")}
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
              {t("layout.signOut", { name })}
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
