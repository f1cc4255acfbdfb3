import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

const binary = resolve(import.meta.dirname, process.env.ECUPCAKES_BIN ?? "../../bin/ecupcakes");

/** How long the binary may take to start or to stop. */
const patience = 30_000;

/** The real binary, on a free port and in a data folder of its own: with everything in it, or the API alone on another one's Kafka. */
export class Server {
  url = "";
  /** Where its Kafka listens, host:port. */
  kafka = "";
  readonly #data = mkdtempSync(join(tmpdir(), "ecupcakes-browser-"));
  readonly #on: string | undefined;
  #process: ChildProcess | undefined;

  constructor(kafka?: string) {
    this.#on = kafka;
  }

  /** Starts the binary and waits until it is ready; after a first run, on the same port and with the same data. */
  async start(): Promise<void> {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    const role = this.#on ? ["serve", "--roles", "api", "--brokers", this.#on] : ["up", "--kafka-listen", "127.0.0.1:0", "--data", this.#data];
    const child = spawn(binary, [...role, "--listen", listen, "--json"], { stdio: ["ignore", "pipe", "inherit"] });
    this.#process = child;
    const line = await Promise.race([
      once(createInterface(child.stdout), "line").then(([first]) => String(first)),
      once(child, "exit").then(([code]) => { throw new Error(`${binary} exited with ${String(code)} before it was up`); }),
      late(`${binary} did not say in time that it is up`),
    ]);
    const { url, kafka } = JSON.parse(line) as { url: string; kafka?: string };
    [this.url, this.kafka] = [url.replace(/\/$/, ""), kafka ?? this.kafka];
    await Promise.race([this.#ready(), late(`${binary} was not ready in time`)]);
  }

  /** Returns once the server takes orders; it answers 503 until its views have read everything. */
  async #ready(): Promise<void> {
    while (!(await fetch(`${this.url}/readyz`)).ok) await setTimeout(20);
  }

  /** Asks the binary to stop, as a service manager does, and gives its exit code. */
  async stop(): Promise<number | null> {
    return this.#end("SIGTERM");
  }

  /** Takes the process away without a warning. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Has the process do nothing at all until it is to go on, as on a machine that hangs. */
  hang(goOn = false): void {
    this.#process?.kill(goOn ? "SIGCONT" : "SIGSTOP");
  }

  /** Removes the data; the server must not be running. */
  remove(): void {
    rmSync(this.#data, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exit = once(child, "exit");
    child.kill(signal);
    const [code] = await Promise.race([exit, late(`${binary} did not end in time after ${signal}`)]);
    return code as number | null;
  }
}

async function late(message: string): Promise<never> {
  await setTimeout(patience, undefined, { ref: false });
  throw new Error(message);
}
