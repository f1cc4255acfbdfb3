import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { KitchenPage } from "./features/kitchen/KitchenPage";
import { Layout } from "./ui/Layout";
import { NotFoundPage } from "./ui/NotFoundPage";

// Loaded on demand: a kitchen tablet needs only its own page.
const BoardPage = lazy(() => import("./features/board/BoardPage"));
const CreatePage = lazy(() => import("./features/create/CreatePage"));
const DashboardPage = lazy(() => import("./features/dashboard/DashboardPage"));
const OrderPage = lazy(() => import("./features/order/OrderPage"));
const SignInPage = lazy(() => import("./features/session/SignInPage"));

export function App() {
  return (
    <Switch>
      {/* Shown on a wall screen, without the frame of the other pages. */}
      <Route path="/board"><Suspense><BoardPage /></Suspense></Route>
      <Route>
        <Layout>
          <Switch>
            <Route path="/" component={SignInPage} />
            <Route path="/create" component={CreatePage} />
            <Route path="/order/:id">{({ id }) => <OrderPage id={id} />}</Route>
            <Route path="/dashboard" component={DashboardPage} />
            {/* The server decides which station pages exist. */}
            <Route path="/:page">{({ page }) => <KitchenPage page={page} />}</Route>
            <Route component={NotFoundPage} />
          </Switch>
        </Layout>
      </Route>
    </Switch>
  );
}
