import { createSlice, type PayloadAction } from "@reduxjs/toolkit";

/** Who works at this device, and as what: `customer`, `manager` or a station's role. Not a login: anybody may say anything. */
export interface Session {
  name: string;
  role: string;
}

const nobody: Session = { name: "", role: "" };
const place = "ecupcakes.session";

export const session = createSlice({
  name: "session",
  initialState: recallSession,
  reducers: {
    signedIn: (_, action: PayloadAction<Session>) => action.payload,
    signedOut: () => nobody,
  },
});

export const { signedIn, signedOut } = session.actions;

function recallSession(): Session {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(place) ?? "null");
    return { ...nobody, ...(stored as Partial<Session> | null) };
  } catch {
    return nobody; // Storage is refused, or holds something else: nobody is signed in.
  }
}

let remembered: Session | undefined;

export function rememberSession(current: Session): void {
  if (current === remembered) return;
  remembered = current;
  try {
    localStorage.setItem(place, JSON.stringify(current));
  } catch {
    // Storage is refused: the session lasts as long as the page.
  }
}
