import { Route, Routes } from "react-router";
import { CreatePage } from "./features/create/CreatePage";
import { DashboardPage } from "./features/dashboard/DashboardPage";
import { KitchenPage } from "./features/kitchen/KitchenPage";
import { OrderPage } from "./features/order/OrderPage";
import { SignInPage } from "./features/session/SignInPage";
import { Layout } from "./ui/Layout";
import { NotFoundPage } from "./ui/NotFoundPage";

export function App() {
  return (
    <Routes>
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
