import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

const binary = resolve(import.meta.dirname, process.env.ECUPCAKES_BIN ?? "../../bin/ecupcakes");

/** How long the binary may take to start or to stop, in milliseconds. */
const deadline = 30_000;

/** Runs the binary on a free port with its own data directory: the whole program, or only the API on the Kafka of another server. */
export class Server {
  url = "";
  /** The address of its Kafka, host:port. */
  kafka = "";
  readonly #data = mkdtempSync(join(tmpdir(), "ecupcakes-browser-"));
  readonly #brokers: string | undefined;
  #process: ChildProcess | undefined;

  constructor(kafka?: string) {
    this.#brokers = kafka;
  }

  /** Starts the binary and waits until it is ready. A restart uses the same port and data. */
  async start(): Promise<void> {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    const role = this.#brokers ? ["serve", "--roles", "api", "--brokers", this.#brokers] : ["up", "--kafka-listen", "127.0.0.1:0", "--data", this.#data];
    const child = spawn(binary, [...role, "--listen", listen, "--json"], { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = child;
    const line = await Promise.race([
      once(createInterface(child.stdout), "line").then(([first]) => String(first)),
      once(child, "exit").then(([code]) => { throw new Error(`${binary} exited with ${String(code)} before it was up`); }),
      rejectAfterDeadline(`${binary} did not report in time that it is up`),
    ]);
    const { url, kafka } = JSON.parse(line) as { url: string; kafka?: string };
    [this.url, this.kafka] = [url.replace(/\/$/, ""), kafka ?? this.kafka];
    await Promise.race([this.#ready(), rejectAfterDeadline(`${binary} was not ready in time`)]);
  }

  /** Resolves once the server is ready; it answers 503 until its views have caught up. */
  async #ready(): Promise<void> {
    while (!(await fetch(`${this.url}/readyz`)).ok) await setTimeout(20);
  }

  /** Stops the binary with SIGTERM and returns its exit code. */
  async stop(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  /** Kills the binary with SIGKILL. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Suspends the process with SIGSTOP, as on a machine that hangs. */
  suspend(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Resumes a suspended process. */
  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Removes the data directory; the server must not be running. */
  remove(): void {
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exit = once(child, "exit");
    child.kill(signal);
    const [code] = await Promise.race([exit, rejectAfterDeadline(`${binary} did not end in time after ${signal}`)]);
    return code as number | null;
  }
}

async function rejectAfterDeadline(message: string): Promise<never> {
  await setTimeout(deadline, undefined, { ref: false });
  throw new Error(message);
}
