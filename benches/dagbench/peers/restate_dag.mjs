// Restate: the plan as a workflow of its TypeScript SDK, the service endpoint in this process, the server beside it.
//
// DAGBENCH_RESTATE=run: each unit is a step of the one handler (`ctx.run`), which is Restate's fast way: one stream to the server, on which it
// acknowledges each result once it is in the replicated log, that is synced to disk. DAGBENCH_RESTATE=call: each unit is a call of another
// service, an invocation of its own, which is what one does when units shall run elsewhere. The handler of a unit does the work itself: its
// answer is what the journal of the workflow keeps, a step inside it would only be written twice.
//
// What a handler does must be the same in a replay, and it may wait for one thing at a time. Units therefore go wave by wave, those of a wave at
// once, in groups of a bounded size: to start each as soon as what it needs has ended, one would race all that run, again at every end, which
// costs the square of the width.

import { library, measure, perform } from "./dag.mjs";

const restate = library("@restatedev/restate-sdk");
const clients = library("@restatedev/restate-sdk-clients");

/// The promises that one waits for: each result that arrives costs as much as there are.
const AT_ONCE = 200;

const { DAGBENCH_RESTATE: mode, DAGBENCH_INGRESS: ingress, DAGBENCH_ADMIN: admin, DAGBENCH_PORT: port } = process.env;

const unit = restate.service({
  name: "unit",
  handlers: { execute: async (_ctx, { key, workMs, executions }) => perform(key, workMs, executions) },
});

const dag = restate.workflow({
  name: "dag",
  handlers: {
    run: async (ctx, { units, workMs, executions }) => {
      const execute =
        mode === "call"
          ? (key) => ctx.serviceClient(unit).execute({ key, workMs, executions })
          : (key) => ctx.run(key, () => perform(key, workMs, executions));
      for (const wave of inWaves(units)) {
        for (let at = 0; at < wave.length; at += AT_ONCE) await restate.RestatePromise.all(wave.slice(at, at + AT_ONCE).map(execute));
      }
    },
  },
});

/// The keys of the units by the length of their longest way back.
function inWaves(units) {
  const depth = new Map();
  const waves = [];
  for (const { key, needs } of units) {
    depth.set(key, needs.reduce((deepest, need) => Math.max(deepest, depth.get(need) + 1), 0));
    (waves[depth.get(key)] ??= []).push(key);
  }
  return waves;
}

// Only what went wrong: a line per invocation would be measured, too.
const logger = (meta, ...message) => {
  if (meta.level === "error") console.error(...message);
};
await restate.serve({ services: [dag, unit], port: Number(port), logger });
const registered = await fetch(`${admin}/deployments`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  // By force: the same address again, after a crash or with the other mode.
  body: JSON.stringify({ uri: `http://127.0.0.1:${port}`, force: true }),
});
if (!registered.ok) throw new Error(`the service is not registered: ${await registered.text()}`);

const client = clients.connect({ url: ingress });
await measure(async (workflow, plan) => {
  // A workflow that is there already is not submitted again; either way one waits for its end.
  const workflows = client.workflowClient(dag, workflow);
  await workflows.workflowSubmit(plan);
  await workflows.workflowAttach();
});
process.exit(0);
