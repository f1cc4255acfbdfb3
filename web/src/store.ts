import { configureStore } from "@reduxjs/toolkit";
import { useDispatch, useSelector } from "react-redux";
import { api } from "./api/api";
import { outbox, outboxKeeper } from "./features/kitchen/outboxSlice";
import { station } from "./features/kitchen/stationSlice";
import { rememberSession, session } from "./features/session/sessionSlice";

export function newStore() {
  const store = configureStore({
    reducer: { [api.reducerPath]: api.reducer, session: session.reducer, station: station.reducer, outbox: outbox.reducer },
    middleware: (defaults) =>
      // These walk the whole state after each action, which a queue of thousands of orders makes too slow in development.
      defaults({ serializableCheck: false, immutableCheck: false }).concat(api.middleware),
  });
  const keepOutbox = outboxKeeper(store.getState().outbox);
  store.subscribe(() => {
    rememberSession(store.getState().session);
    keepOutbox(store.getState().outbox);
  });
  return store;
}

export type Store = ReturnType<typeof newStore>;
export type State = ReturnType<Store["getState"]>;
export const useAppDispatch = useDispatch.withTypes<Store["dispatch"]>();
export const useAppSelector = useSelector.withTypes<State>();
