// What the adapters in JavaScript share: the plan, the executions file, the report. All adapters are called alike:
//
//   ADAPTER DAG.json WORKFLOW_ID EXECUTIONS_FILE
//
// Called again with the same WORKFLOW_ID, an adapter goes on with what a crash left. A call does these things: it connects and warms up (not
// with DAGBENCH_WARM=no), prints a line and waits for one, so that the harness can look at the database's counters in between; it carries the
// plan to its durable end, prints a line of JSON, and stays until its standard input ends, so that the harness can read what memory it used.

import { openSync, readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline/promises";
import { setTimeout as wait } from "node:timers/promises";

/// How many units of the plan the warm-up is made of.
const WARM_UNITS = 100;

/// A package that scripts/setup-peers installed.
export const library = createRequire(`${process.env.DAGBENCH_PEERS}/package.json`);

/// The unit of work: a wait, or nothing; then one line in the executions file, by the clock that all processes share.
export async function perform(key, workMs, executions) {
  const started = process.hrtime.bigint();
  if (workMs > 0) await wait(workMs);
  writeSync(file(executions), `${key} ${started} ${process.hrtime.bigint()}\n`);
}

const files = new Map();
function file(path) {
  if (!files.has(path)) files.set(path, openSync(path, "a"));
  return files.get(path);
}

/// `execute(workflow, dag)` resolves when the end of the workflow is durable; a dag is `{ workMs, executions, units: [{ key, needs }] }`.
export async function measure(execute) {
  const [path, workflow, executions] = process.argv.slice(2);
  const { work_ms: workMs, units } = JSON.parse(readFileSync(path, "utf8"));
  if (process.env.DAGBENCH_WARM !== "no") {
    // What a unit needs stands before it, so that the beginning of a plan is a plan.
    await execute(`${workflow}-warm`, { workMs: 0, executions: "/dev/null", units: units.slice(0, WARM_UNITS) });
  }
  const lines = createInterface({ input: process.stdin });
  const input = lines[Symbol.asyncIterator]();
  console.log(JSON.stringify({ ready: true }));
  await input.next();
  const started = performance.now();
  await execute(workflow, { workMs, executions, units });
  console.log(JSON.stringify({ wall_ms: performance.now() - started }));
  await input.next();
  // Otherwise the open input keeps the process.
  lines.close();
  process.stdin.destroy();
}
