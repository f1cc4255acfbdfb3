import { Server } from "./server";

/** Runs one server for all specs and tells them its address; at the end, it must stop cleanly. */
export default async function globalSetup(): Promise<() => Promise<void>> {
  const server = new Server();
  await server.start();
  process.env.ECUPCAKES_URL = server.url;
  return async () => {
    const code = await server.stop();
    server.remove();
    if (code !== 0) throw new Error(`the server's exit code after SIGTERM is ${String(code)}, not 0`);
  };
}
