import { lazy, Suspense } from "react";
import { Route, Switch } from "wouter";
import { KitchenPage } from "./features/kitchen/KitchenPage";
import { Layout } from "./ui/Layout";
import { NotFoundPage } from "./ui/NotFoundPage";

// A kitchen's tablet needs only its own page to begin with.
const BoardPage = lazy(() => import("./features/board/BoardPage"));
const CreatePage = lazy(() => import("./features/create/CreatePage"));
const DashboardPage = lazy(() => import("./features/dashboard/DashboardPage"));
const OrderPage = lazy(() => import("./features/order/OrderPage"));
const SignInPage = lazy(() => import("./features/session/SignInPage"));

export function App() {
  return (
    <Switch>
      {/* For a wall, without the frame of the other pages. */}
      <Route path="/board"><Suspense><BoardPage /></Suspense></Route>
      <Route>
        <Layout>
          <Switch>
            <Route path="/" component={SignInPage} />
            <Route path="/create" component={CreatePage} />
            <Route path="/order/:id">{({ id }) => <OrderPage id={id} />}</Route>
            <Route path="/dashboard" component={DashboardPage} />
            {/* The server's line says which station pages there are. */}
            <Route path="/:page">{({ page }) => <KitchenPage page={page} />}</Route>
            <Route component={NotFoundPage} />
          </Switch>
        </Layout>
      </Route>
    </Switch>
  );
}
