import { createSlice, type PayloadAction } from "@reduxjs/toolkit";

/** The name and role of the person at this device: `customer`, `manager` or a station's role. It is not authenticated. */
export interface Session {
  name: string;
  role: string;
}

const nobody: Session = { name: "", role: "" };
const storageKey = "ecupcakes.session";

export const session = createSlice({
  name: "session",
  initialState: loadSession,
  reducers: {
    signedIn: (_, action: PayloadAction<Session>) => action.payload,
    signedOut: () => nobody,
  },
});

export const { signedIn, signedOut } = session.actions;

function loadSession(): Session {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(storageKey) ?? "null");
    return { ...nobody, ...(stored as Partial<Session> | null) };
  } catch {
    return nobody; // Storage is refused, or the value is not JSON: nobody is signed in.
  }
}

let persisted: Session | undefined;

export function persistSession(current: Session): void {
  if (current === persisted) return;
  persisted = current;
  try {
    localStorage.setItem(storageKey, JSON.stringify(current));
  } catch {
    // Storage is refused: the session lasts as long as the page.
  }
}
