import type { SerializedError } from "@reduxjs/toolkit";
import type { FetchBaseQueryError } from "@reduxjs/toolkit/query";
import type { Problem } from "./types";

export type CallError = FetchBaseQueryError | SerializedError;

/** Says in a person's words what went wrong and what to do next. */
export function problemText(error: CallError): string {
  if (!("status" in error)) return error.message ?? "Something went wrong. Please try again.";
  switch (error.status) {
    case "FETCH_ERROR":
      return "The server cannot be reached. Check the network.";
    case "TIMEOUT_ERROR":
      return "The server did not answer in time.";
    case "PARSING_ERROR":
    case "CUSTOM_ERROR":
      return "The server gave an answer that this page does not understand. Please try again.";
  }
  const problem = asProblem(error);
  return problem.detail ?? problem.title ?? `The server answered ${error.status}. Please try again.`;
}

/** Gives the message for each bad field of a 422, by the field's name in lower case. */
export function fieldProblems(error: CallError | undefined): Partial<Record<string, string>> {
  if (!error || !("status" in error) || error.status !== 422) return {};
  const found: Record<string, string> = {};
  for (const { location, message } of asProblem(error).errors ?? []) {
    const field = location?.split(".").at(-1)?.toLowerCase();
    if (field && message) found[field] = message;
  }
  return found;
}

export function isNotFound(error: CallError | undefined): boolean {
  return error !== undefined && "status" in error && error.status === 404;
}

function asProblem(error: FetchBaseQueryError): Problem {
  return typeof error.data === "object" && error.data !== null ? error.data : {};
}
