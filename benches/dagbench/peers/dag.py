"""What the adapters in Python share; dag.mjs says how all adapters are called and what a call does."""

import asyncio
import json
import os
import sys
import time

# How many units of the plan the warm-up is made of.
WARM_UNITS = 100

_files = {}


async def perform(key, work_ms, executions):
    """The unit of work: a wait, or nothing; then one line in the executions file, by the clock that all processes share."""
    started = time.monotonic_ns()
    if work_ms:
        await asyncio.sleep(work_ms / 1000)
    if executions not in _files:
        _files[executions] = os.open(executions, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_files[executions], f"{key} {started} {time.monotonic_ns()}\n".encode())


async def measure(execute):
    """`await execute(workflow, units, work_ms, executions)` returns when the end of the workflow is durable."""
    path, workflow, executions = sys.argv[1:]
    with open(path) as file:
        plan = json.load(file)
    units = [(unit["key"], unit["needs"]) for unit in plan["units"]]
    if os.environ.get("DAGBENCH_WARM") != "no":
        # What a unit needs stands before it, so that the beginning of a plan is a plan.
        await execute(f"{workflow}-warm", units[:WARM_UNITS], 0, "/dev/null")
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.monotonic_ns()
    await execute(workflow, units, plan["work_ms"], executions)
    print(json.dumps({"wall_ms": (time.monotonic_ns() - started) / 1e6}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
