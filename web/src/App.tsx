import { lazy, Suspense } from "react";
import { Route, Routes } from "react-router";
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
    <Routes>
      {/* For a wall, without the frame of the other pages. */}
      <Route path="board" element={<Suspense><BoardPage /></Suspense>} />
      <Route element={<Layout />}>
        <Route index element={<SignInPage />} />
        <Route path="create" element={<CreatePage />} />
        <Route path="order/:id" element={<OrderPage />} />
        <Route path="dashboard" element={<DashboardPage />} />
        {/* The server's line says which station pages there are. */}
        <Route path=":page" element={<KitchenPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Route>
    </Routes>
  );
}
