"""Prefect: the plan as a flow of asynchronous tasks, each started when what it needs has ended.

A task's result is kept under a key made of the workflow and the unit; a flow that runs again takes from there what is done. That is what
Prefect offers for going on after a crash. Its server learns of the states of tasks by events that nobody waits for; it answers only for the
state of the flow.
"""

import asyncio

from prefect import flow, task
from prefect.cache_policies import CacheKeyFnPolicy

from dag import measure, perform

PER_UNIT = CacheKeyFnPolicy(cache_key_fn=lambda _context, inputs: f"{inputs['workflow']}-{inputs['key']}".replace("/", "-"))


@task(cache_policy=PER_UNIT, persist_result=True)
async def unit(workflow, key, work_ms, executions):
    await perform(key, work_ms, executions)


# Thousands of parameters of a flow would be sent to the server to be shown there; it is given a name, and finds the plan here.
plans = {}


@flow(persist_result=True)
async def dag(workflow):
    units, work_ms, executions = plans[workflow]
    ended = {}

    async def once_ready(key, needs):
        await asyncio.gather(*(ended[need] for need in needs))
        await unit(workflow, key, work_ms, executions)

    for key, needs in units:
        ended[key] = asyncio.create_task(once_ready(key, needs))
    await asyncio.gather(*ended.values())


async def execute(workflow, units, work_ms, executions):
    plans[workflow] = (units, work_ms, executions)
    await dag(workflow)


asyncio.run(measure(execute))
