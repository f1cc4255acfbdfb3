import { vi } from "vitest";

/** A request made by the code under test. */
export interface Call {
  method: string;
  path: string;
  key: string | null;
  body: unknown;
}

/** Replaces fetch: records every request and responds with the result of answer. */
export function stubServer(answer: (call: Call) => Response | Promise<Response>): Call[] {
  const calls: Call[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const text = await request.text();
    const call: Call = {
      method: request.method,
      path: new URL(request.url).pathname,
      key: request.headers.get("Idempotency-Key"),
      body: text && (JSON.parse(text) as unknown),
    };
    calls.push(call);
    return answer(call);
  });
  return calls;
}

export function problem(status: number, detail: string, errors: { message: string; location: string }[] = []): Response {
  return Response.json({ title: "Problem", status, detail, errors }, { status, headers: { "Content-Type": "application/problem+json" } });
}
