import type { SerializedError } from "@reduxjs/toolkit";
import type { FetchBaseQueryError } from "@reduxjs/toolkit/query";
import { serverTerms, t } from "../i18n";
import type { Problem } from "./types";

export type CallError = FetchBaseQueryError | SerializedError;

/** Returns a message for people: what went wrong and what to do next. */
export function problemText(error: CallError): string {
  if (!("status" in error)) return error.message ?? t("trouble.unknown");
  switch (error.status) {
    case "FETCH_ERROR":
      return t("trouble.unreachable");
    case "TIMEOUT_ERROR":
      return t("trouble.silent");
    case "PARSING_ERROR":
    case "CUSTOM_ERROR":
      return t("trouble.unclear");
  }
  const problem = asProblem(error);
  return translated(problem) ?? problem.detail ?? problem.title ?? t("trouble.status", { status: error.status });
}

/** Returns the translation for the type of a problem, or undefined. The server's own text is English. */
function translated({ type, order }: Problem): string | undefined {
  return serverTerms("problems")[type?.split(":").at(-1) ?? ""]?.replace("{{name}}", order?.claimedBy ?? "?");
}

/** Returns the message for each invalid field of a 422, by the field's name in lower case. */
export function fieldProblems(error: CallError | undefined): Partial<Record<string, string>> {
  if (!error || !("status" in error) || error.status !== 422) return {};
  const found: Record<string, string> = {};
  for (const { location, message } of asProblem(error).errors ?? []) {
    const field = location?.split(".").at(-1)?.toLowerCase();
    if (field && message) found[field] = serverTerms("fields")[field] ?? message;
  }
  return found;
}

export function isNotFound(error: CallError | undefined): boolean {
  return error !== undefined && "status" in error && error.status === 404;
}

function asProblem(error: FetchBaseQueryError): Problem {
  return typeof error.data === "object" && error.data !== null ? error.data : {};
}
