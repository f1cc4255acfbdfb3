import { Suspense, useEffect, useRef, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { signedOut } from "../features/session/sessionSlice";
import { useTranslation } from "../i18n";
import { roleTitle } from "../labels";
import { useAppDispatch, useAppSelector } from "../store";
import { useStations } from "../useStations";
import { Cupcake } from "./Cupcake";
import { Icon, StageIcon } from "./Icon";
import { LanguageToggle } from "./LanguageToggle";
import styles from "./Layout.module.css";
import { ThemeToggle } from "./ThemeToggle";

/** The frame of every page: header with brand, user name and menu, and the page itself. */
export function Layout({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const main = useFocusOnNavigation();
  const { name } = useAppSelector((state) => state.session);
  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#main">
        {t("layout.skip")}
      </a>
      <header className={styles.header}>
        <Link href="/" className={styles.brand}>
          <Cupcake flavour="Strawberry" className={styles.logo} />
          eCupcakes
        </Link>
        {name && <span className={styles.who}>{name}</span>}
        <LanguageToggle />
        <ThemeToggle />
        <PagesMenu />
      </header>
      <main id="main" ref={main} tabIndex={-1} className={styles.main}>
        <Suspense fallback={<p>{t("layout.loading")}</p>}>{children}</Suspense>
      </main>
    </div>
  );
}

function PagesMenu() {
  const { t } = useTranslation();
  const { stations = [] } = useStations();
  const { name, role } = useAppSelector((state) => state.session);
  const dispatch = useAppDispatch();
  const [, navigate] = useLocation();
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
            <PageLink page="/create" close={close}>
              <Icon name="basket" /> {t("layout.order")}
            </PageLink>
          </li>
          {stations.map(({ page, role, stage }) => (
            <li key={stage}>
              <PageLink page={`/${page}`} close={close}>
                <StageIcon stage={stage} /> {roleTitle(role)}
              </PageLink>
            </li>
          ))}
          <li>
            <PageLink page="/board" close={close}>
              <Icon name="bell" /> {t("layout.board")}
            </PageLink>
          </li>
          <li>
            <PageLink page="/dashboard" close={close}>
              <Icon name="chart" /> {t("layout.dashboard")}
            </PageLink>
          </li>
        </ul>
        <div className={styles.session}>
          <Link href="/" onClick={close}>
            {role ? t("layout.switchRole") : t("layout.chooseRole")}
          </Link>
          {name && (
            <button
              type="button"
              onClick={() => {
                close();
                dispatch(signedOut());
                navigate("/");
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

function PageLink({ page, close, children }: { page: string; close: () => void; children: ReactNode }) {
  const [path] = useLocation();
  return (
    <Link href={page} onClick={close} aria-current={page === path ? "page" : undefined}>
      {children}
    </Link>
  );
}

/** Moves the focus to the page after navigation, as a full page load would. */
function useFocusOnNavigation() {
  const main = useRef<HTMLElement>(null);
  const [path] = useLocation();
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) {
      main.current?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [path]);
  return main;
}
