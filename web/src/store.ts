import { configureStore } from "@reduxjs/toolkit";
import { useDispatch, useSelector } from "react-redux";
import { api } from "./api/api";
import { outbox, outboxPersister } from "./features/kitchen/outboxSlice";
import { received, station } from "./features/kitchen/stationSlice";
import { persistSession, session } from "./features/session/sessionSlice";

export function newStore() {
  const store = configureStore({
    reducer: { [api.reducerPath]: api.reducer, session: session.reducer, station: station.reducer, outbox: outbox.reducer },
    middleware: (defaults) =>
      // Development builds check the state after each action. The queue may hold thousands of orders, which would make each
      // check take longer than a frame, so it is excluded; everything else is checked.
      defaults({
        serializableCheck: { ignoredPaths: ["station.shown", "station.incoming"], ignoredActions: [received.type] },
        immutableCheck: { ignoredPaths: ["station.shown", "station.incoming"] },
      }).concat(api.middleware),
  });
  const persistOutbox = outboxPersister(store.getState().outbox);
  store.subscribe(() => {
    persistSession(store.getState().session);
    persistOutbox(store.getState().outbox);
  });
  return store;
}

export type Store = ReturnType<typeof newStore>;
export type State = ReturnType<Store["getState"]>;
export const useAppDispatch = useDispatch.withTypes<Store["dispatch"]>();
export const useAppSelector = useSelector.withTypes<State>();
