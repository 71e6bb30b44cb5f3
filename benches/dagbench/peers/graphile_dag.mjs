// graphile-worker: a job for each unit, and two tables for what it has no notion of, dependencies.
//
// What keeps it fast without losing a job: the local queue fetches as many jobs as there is room for, completions are written together, and
// so are the ends of units: one statement at a time marks all that have ended meanwhile, counts them off and adds the jobs of those that wait
// for nothing any more, in one transaction. A unit is executed again when a crash comes between its work and that statement.
//
// A job of a dead worker stays locked for four hours, unless it is said that the worker is gone: there is one worker process here, so whoever
// starts says so of all before.

import { library, measure, perform } from "./dag.mjs";

const { makeWorkerUtils, run, Logger } = library("graphile-worker");
const { Pool } = library("pg");

/// More than a layer is wide: nobody waits for a worker while units wait for time to pass.
const CONCURRENT_JOBS = 100;

const TABLES = `
  create table if not exists dag (id text primary key, plan jsonb not null);
  create table if not exists unit (
    dag text not null, key text not null, missing int not null, done boolean not null default false, primary key (dag, key)
  );
  create table if not exists edge (dag text not null, needs text not null, key text not null, primary key (dag, needs, key));
  alter table unit set (fillfactor = 50);
`;

// The plan and the jobs of all that wait for nothing, in one transaction; nothing when it is there already.
const STORE = `
  with stored as (insert into dag values ($1, $2) on conflict do nothing returning id, plan),
    units as (
      insert into unit (dag, key, missing)
      select id, u->>'key', jsonb_array_length(u->'needs') from stored, jsonb_array_elements(plan->'units') u returning key, missing
    ),
    edges as (
      insert into edge (dag, needs, key)
      select id, need, u->>'key' from stored, jsonb_array_elements(plan->'units') u, jsonb_array_elements_text(u->'needs') need
    ),
    ready as (select array_agg(key) as keys from units where missing = 0)
  select graphile_worker.add_jobs(array(
    select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', 'unit', 'payload', json_build_object('dag', $1::text, 'key', key)))
    from unnest(keys) key
  )) from ready where keys is not null`;

// A unit that had ended before is not counted off twice.
const END = `
  with ended as (update unit set done = true where dag = $1 and key = any($2) and not done returning key),
    counts as (select edge.key, count(*)::int as n from ended join edge on edge.dag = $1 and edge.needs = ended.key group by edge.key),
    waiting as (
      update unit set missing = missing - n from counts where unit.dag = $1 and unit.key = counts.key returning unit.key, missing
    ),
    added as (
      select count(*) from graphile_worker.add_jobs(array(
        select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', 'unit', 'payload', json_build_object('dag', $1::text, 'key', key)))
        from waiting where missing = 0
      ))
    )
  select (select count(*)::int from ended) as ended, (select count from added) as added`;

const pool = new Pool({ connectionString: process.env.DAGBENCH_DATABASE_URL, max: 10 });
// What the library asks of a pool: a lost connection ends nothing.
const complain = (error) => console.error(error.message);
pool.on("error", complain);
pool.on("connect", (client) => client.on("error", complain));
const logger = new Logger(() => (level, message) => level === "error" && console.error(message));
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
await pool.query(TABLES);
const { rows: dead } = await pool.query("select distinct locked_by from graphile_worker.jobs where locked_by is not null");
await utils.forceUnlockWorkers(dead.map((row) => row.locked_by));

/// The workflows that this process was asked for: what is done, how many are left, what has ended and is not written yet. A job that a crash
/// left waits until it is asked for.
const workflows = new Map();
function workflow(id) {
  if (!workflows.has(id)) workflows.set(id, Promise.withResolvers());
  return workflows.get(id);
}

async function end(dag, key) {
  dag.ended.push(key);
  // The statement under way is not for this unit; the next one is.
  dag.next ??= dag.writing.then(async () => {
    const keys = dag.ended;
    dag.ended = [];
    dag.next = undefined;
    const { rows } = await pool.query(END, [dag.id, keys]);
    dag.left -= rows[0].ended;
    if (dag.left === 0) dag.finished.resolve();
  });
  const writing = dag.next;
  dag.writing = writing.catch(() => {});
  await writing;
}

const runner = await run({
  pgPool: pool,
  logger,
  noHandleSignals: true,
  taskList: {
    unit: async ({ dag: id, key }) => {
      const dag = await workflow(id).promise;
      if (dag.done.has(key)) return;
      await perform(key, dag.workMs, dag.executions);
      await end(dag, key);
    },
  },
  preset: { worker: { concurrentJobs: CONCURRENT_JOBS, maxPoolSize: 10, localQueue: { size: CONCURRENT_JOBS * 2 }, completeJobBatchDelay: 0 } },
});

await measure(async (id, { units, workMs, executions }) => {
  const { rows } = await pool.query("select key, done from unit where dag = $1", [id]);
  const done = new Set(rows.filter((row) => row.done).map((row) => row.key));
  const finished = Promise.withResolvers();
  workflow(id).resolve({ id, workMs, executions, done, left: units.length - done.size, ended: [], writing: Promise.resolve(), finished });
  if (rows.length === 0) await pool.query(STORE, [id, JSON.stringify({ units })]);
  if (done.size < units.length) await finished.promise;
});
await runner.stop();
await pool.end();
