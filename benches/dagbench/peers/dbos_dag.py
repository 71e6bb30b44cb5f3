"""DBOS: the plan as one workflow whose units are its steps, which is its fast way: a queue makes a workflow of each unit.

A step is known by its number, given in the order in which steps are started; what is started must be the same in a recovery. Units therefore
go wave by wave, those of a wave at once, and nothing overlaps two waves. The result of a step is committed before the step returns.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, SetWorkflowID

from dag import measure, perform

# Statements are made in threads, by default 6 on two cores; so many connections suffice to keep PostgreSQL busy.
THREADS = 20

DBOS(
    config={
        "name": "dagbench",
        "system_database_url": os.environ["DAGBENCH_DATABASE_URL"],
        "sys_db_pool_size": THREADS,
        # No question before each statement whether its connection still stands: a statement on a lost one is tried again anyway.
        "db_engine_kwargs": {"pool_pre_ping": False},
        "application_version": "1",
        "log_level": "ERROR",
    }
)


@DBOS.step()
async def unit(key, work_ms, executions):
    await perform(key, work_ms, executions)


@DBOS.workflow()
async def dag(waves, work_ms, executions):
    for wave in waves:
        await asyncio.gather(*(unit(key, work_ms, executions) for key in wave))


def in_waves(units):
    """The units by the length of their longest way back."""
    depth, waves = {}, []
    for key, needs in units:
        depth[key] = max((depth[need] + 1 for need in needs), default=0)
        if depth[key] == len(waves):
            waves.append([])
        waves[depth[key]].append(key)
    return waves


async def execute(workflow, units, work_ms, executions):
    # One that is there already, and was taken up again by `launch`, is only waited for.
    with SetWorkflowID(workflow):
        handle = await DBOS.start_workflow_async(dag, in_waves(units), work_ms, executions)
    await handle.get_result(polling_interval_sec=0.01)


async def main():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    DBOS.launch()
    await measure(execute)
    DBOS.destroy()


asyncio.run(main())
