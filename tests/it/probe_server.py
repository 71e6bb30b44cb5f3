"""A small service that fulfils any specification by interpreting it: what the probe is tested against.

Usage: probe_server.py DOCUMENT.json DESCRIPTION.json PORT [BUG]. With a BUG it gets one thing wrong.
"""

import datetime
import json
import re
import sys
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DOCUMENT = json.load(open(sys.argv[1]))
DESCRIPTION = json.load(open(sys.argv[2]))
BUG = sys.argv[4] if len(sys.argv) > 4 else ""
ENTITIES = {entity["name"]: entity for entity in DOCUMENT["entities"]}
SCHEMAS = {schema["name"]: schema["shape"] for schema in DOCUMENT["schemas"]}
ROWS = {name: [] for name in ENTITIES}


class Refusal(Exception):
    def __init__(self, status, detail):
        self.status, self.detail = status, detail


def kind(value):
    return (value, {}) if isinstance(value, str) else next(iter(value.items()))


def key(entity):
    return next(field["name"] for field in ENTITIES[entity]["fields"] if field["primary_key"])


def resolve(shape):
    while kind(shape["kind"])[0] == "reference":
        shape = SCHEMAS[kind(shape["kind"])[1]]
    return shape


def number_ok(value, limits):
    for name, worse, equal in (("min", lambda a, b: a < b, "min_exclusive"), ("max", lambda a, b: a > b, "max_exclusive")):
        limit = limits[name]
        if limit is not None and (worse(value, limit) or (limits[equal] and value == limit)):
            return False
    step = limits["multiple_of"]
    return step is None or abs(value / step - round(value / step)) < 1e-6


def length_ok(value, limits):
    return (limits["length_min"] or 0) <= len(value) <= (limits["length_max"] if limits["length_max"] is not None else 10**9)


def format_ok(name, value):
    try:
        if name == "date":
            return len(value) == 10 and bool(datetime.date.fromisoformat(value))
        if name == "date-time":
            return bool(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).tzinfo)
        if name == "uuid":
            return bool(uuid.UUID(value))
    except ValueError:
        return False
    return name != "email" or bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value))


def valid(shape, value):
    if value is None and shape["nullable"]:
        return True
    shape = resolve(shape)
    name, details = kind(shape["kind"])
    if name == "boolean":
        return isinstance(value, bool)
    if name in ("integer", "number"):
        whole = isinstance(value, int) or (name == "number" and isinstance(value, float))
        return whole and not isinstance(value, bool) and (BUG == "limits" or number_ok(value, details["limits"]))
    if name == "text":
        if not isinstance(value, str) or (details["values"] and value not in details["values"]):
            return False
        pattern = details["limits"]["pattern"]
        fits = BUG == "pattern" or pattern is None or re.search(pattern, value) is not None
        return fits and length_ok(value, details["limits"]) and format_ok(details["format"], value)
    if name == "array":
        return isinstance(value, list) and length_ok(value, details["limits"]) and all(valid(details["items"], item) for item in value)
    if name == "object":
        known = {item["name"]: item for item in details["properties"]}
        if not isinstance(value, dict) or (details["additional"] == "forbidden" and set(value) - set(known)):
            return False
        missing = any(item["required"] and name not in value for name, item in known.items())
        return not missing and all(valid(known[name]["shape"], item) for name, item in value.items() if name in known)
    return True


def fulfils(row, condition):
    name, details = kind(condition)
    if name == "compare":
        left, right = expression(row, details["left"]), expression(row, details["right"])
        if left is None or right is None:
            return None
        compare = {"equal": left == right, "not_equal": left != right}
        if details["comparison"] in compare:
            return compare[details["comparison"]]
        return {"less": left < right, "less_or_equal": left <= right, "greater": left > right, "greater_or_equal": left >= right}[details["comparison"]]
    if name == "one_of":
        return None if row.get(details["field"]) is None else row[details["field"]] in details["values"]
    if name in ("present", "absent"):
        return (row.get(details) is not None) == (name == "present")
    parts = [fulfils(row, part) for part in details]
    decisive = name == "any"
    return decisive if decisive in parts else (None if None in parts else not decisive)


def expression(row, part):
    name, details = kind(part)
    return {"field": lambda: row.get(details), "literal": lambda: details, "today": lambda: datetime.date.today().isoformat()}[name]()


def check_rules(entity, old, new):
    if BUG == "rules":
        return
    for rule in (rule for rule in DOCUMENT["rules"] if rule["entity"] == entity):
        name, details = kind(rule["kind"])
        if name == "check" and fulfils(new, details) is False:
            raise Refusal(422, rule["text"])
        if name == "required_when" and fulfils(new, details["when"]) and new.get(details["field"]) is None:
            raise Refusal(422, rule["text"])
        if name == "implies" and fulfils(new, details["when"]) and fulfils(new, details["then"]) is False:
            raise Refusal(422, rule["text"])
        if name == "transitions":
            before, after = old and old[details["field"]], new[details["field"]]
            allowed = [before, after] in details["edges"] if old else after == details["edges"][0][0]
            if before != after and not allowed:
                raise Refusal(409, rule["text"])
        if name == "immutable" and old and old[details["field"]] != new[details["field"]]:
            raise Refusal(409, rule["text"])
        if name == "change_only_when" and old and not fulfils(old, details):
            raise Refusal(409, rule["text"])
        others = [row for row in ROWS[entity] if row is not old]
        if name == "unique" and any(all(row[field] == new[field] for field in details) for row in others):
            raise Refusal(409, rule["text"])
        if name == "at_most":
            alike = [row for row in others if row[details["per"]] == new[details["per"]] and (not details["when"] or fulfils(row, details["when"]))]
            if len(alike) >= details["limit"] and (not details["when"] or fulfils(new, details["when"])):
                raise Refusal(409, rule["text"])


def check_row(entity, old, new):
    for field in ENTITIES[entity]["fields"]:
        name, details = kind(field["field_type"])
        value = new.get(field["name"])
        if name == "reference" and value is not None and not any(row[key(details["entity"])] == value for row in ROWS[details["entity"]]):
            raise Refusal(422, f"{field['name']} refers to nothing")
        taken = any(row is not old and row[field["name"]] == value for row in ROWS[entity])
        if (field["unique"] or field["primary_key"]) and value is not None and taken and BUG != "unique":
            raise Refusal(409, f"{field['name']} is taken")
    check_rules(entity, old, new)


def shown(entity, row):
    hidden = {field["name"] for field in ENTITIES[entity]["fields"] if field["write_only"]}
    schema = next((schema for schema in DOCUMENT["schemas"] if schema["entity"] == entity and schema["role"] == "read"), None)
    properties = kind(resolve(schema["shape"])["kind"])[1]["properties"] if schema else []
    hidden |= {item["name"] for item in properties if row.get(item["name"]) is None and not item["shape"]["nullable"]}
    return {name: value for name, value in row.items() if name not in hidden}


def find(behaviour, path):
    for row in ROWS[behaviour["entity"]]:
        if all(str(row[binding["field"]]) == path[binding["parameter"]] for binding in behaviour["path"]):
            return row
    raise Refusal(404, "there is no such row")


def parent_keys(behaviour, path):
    keys = {}
    for binding in behaviour["path"]:
        field = next(field for field in ENTITIES[behaviour["entity"]]["fields"] if field["name"] == binding["field"])
        target = kind(field["field_type"])[1]["entity"]
        rows = [row for row in ROWS[target] if str(row[key(target)]) == path[binding["parameter"]]]
        if not rows:
            raise Refusal(404, "there is no such parent")
        keys[field["name"]] = rows[0][key(target)]
    return keys


def create(operation, behaviour, path, query, body):
    entity = behaviour["entity"]
    row, now = {}, datetime.datetime.now(datetime.timezone.utc).isoformat()
    for field in ENTITIES[entity]["fields"]:
        made = {"uuid": str(uuid.uuid4()), "date_time": now}.get(kind(field["field_type"])[0], len(ROWS[entity]) + 1)
        row[field["name"]] = made if field["source"] != "client" and field["required"] else field["default"]
    row.update(body or {})
    row.update(parent_keys(behaviour, path))
    check_row(entity, None, row)
    if BUG == "echo":
        row.update({name: "changed" for name in ("title", "name") if name in row})
    ROWS[entity].append(row)
    return row


def change(operation, behaviour, path, query, body):
    old = find(behaviour, path)
    new = {**old, **(body or {})}
    check_row(behaviour["entity"], old, new)
    old.update(new)
    return old


def act(operation, behaviour, path, query, body):
    values = {"today": datetime.date.today().isoformat()}
    old = find(behaviour["row"], path)
    new = {**old, **{name: values.get(value, value) if isinstance(value, str) else value for name, value in behaviour["set"]}}
    check_row(behaviour["row"]["entity"], old, new)
    old.update(new)
    return old


def remove(entity, row):
    for name, other in ENTITIES.items():
        for field in other["fields"]:
            sort, details = kind(field["field_type"])
            if sort != "reference" or details["entity"] != entity:
                continue
            for child in [child for child in ROWS[name] if child[field["name"]] == row[key(entity)]]:
                if details["on_delete"] == "restrict" and BUG != "restrict":
                    raise Refusal(409, "something refers to it")
                if details["on_delete"] == "cascade":
                    remove(name, child)
                child[field["name"]] = None
    ROWS[entity] = [other for other in ROWS[entity] if other is not row]


def delete(operation, behaviour, path, query, body):
    row = find(behaviour, path)
    for rule in DOCUMENT["rules"]:
        name, details = kind(rule["kind"])
        if name == "delete_only_when" and rule["entity"] == behaviour["entity"] and not fulfils(row, details) and BUG != "rules":
            raise Refusal(409, rule["text"])
    remove(behaviour["entity"], row)


def matches(row, behaviour, query):
    for item in behaviour["filters"]:
        given, value = query.get(item["parameter"]), row.get(item["field"])
        if given is None or BUG == "filters":
            continue
        texts = given if isinstance(given, list) else [given]
        number = isinstance(value, (int, float))
        wanted = [float(text) if number else text for text in texts]
        ok = {
            "equal": lambda: value == wanted[0],
            "one_of": lambda: value in wanted,
            "contains": lambda: str(wanted[0]).lower() in str(value).lower(),
            "at_least": lambda: value is not None and value >= wanted[0],
            "at_most": lambda: value is not None and value <= wanted[0],
        }[item["comparison"]]()
        if not ok:
            return False
    return True


def listed(operation, behaviour, path, query, body):
    keys = parent_keys(behaviour, path)
    rows = [row for row in ROWS[behaviour["entity"]] if all(row[name] == value for name, value in keys.items()) and matches(row, behaviour, query)]
    sort = behaviour["sort"]
    if sort and query.get(sort["parameter"]):
        field = query[sort["parameter"]]
        rows.sort(key=lambda row: (row[field.lstrip("-")] is None, row[field.lstrip("-")]), reverse=field.startswith("-") != (BUG == "order"))
    paging = behaviour["paging"]
    limit = int(query.get(paging["limit"]) or paging["limit_default"])
    offset = int(query.get(paging["offset"] or "") or 0)
    page = [shown(behaviour["entity"], row) for row in rows[offset : offset + limit]]
    envelope = behaviour["envelope"]
    if not envelope:
        return page
    numbers = {"total": len(rows), "limit": limit, "offset": offset}
    return {envelope["items"]: page, **{envelope[name]: value for name, value in numbers.items() if envelope[name]}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet an answer

    def log_message(self, *_arguments):
        pass

    def answer(self, status, body=None, media_type="application/json", headers=()):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, detail):
        if DOCUMENT["errors"] == "problem":
            problem = {"type": "about:blank", "title": detail, "status": status, "detail": detail}
            return self.answer(status, problem, "application/problem+json")
        return self.answer(status, {"code": status, "message": detail})

    def handle_one(self):
        path, _, text = self.path.partition("?")
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/ready":
            return self.answer(200, {})
        if path == "/openapi.json":
            return self.answer(200, DESCRIPTION)
        for operation in sorted(DOCUMENT["operations"], key=lambda operation: "{" in operation["path"]):
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(operation["path"]))
            match = re.fullmatch(pattern, path)
            if match and operation["method"] == self.command:
                names = {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
                return self.perform(operation, names, urllib.parse.parse_qs(text), raw)
        return self.refuse(404, "there is no such path")

    def perform(self, operation, path, query, raw):
        name, behaviour = kind(operation["behaviour"])
        try:
            query = self.parameters(operation, path, query)
            body = self.body(operation, behaviour, raw)
            if name == "underivable":
                unit = f"api/{operation['key']}#implement"
                return self.refuse(501, "nobody has implemented it" if BUG == "pending" else f"{unit} waits for an agent")
            perform = {"create": create, "replace": change, "patch": change, "act": act, "delete": delete, "list": listed}
            row = perform[name](operation, behaviour, path, query, body) if name in perform else find(behaviour, path)
        except Refusal as refusal:
            return self.refuse(400 if BUG == "status" else refusal.status, refusal.detail)
        success = next(response for response in operation["responses"] if kind(response["status"])[1] in range(200, 300))
        headers = [("Location", f"{self.path}/{row[key(behaviour['entity'])]}")] if success["headers"] and name == "create" and BUG != "header" else []
        if success["content"] and name != "list":
            row = shown((behaviour.get("row") or behaviour)["entity"], row)
        if BUG == "shape" and isinstance(row, dict):
            row = dict(list(row.items())[1:])
        return self.answer(success["status"]["code"], row if success["content"] else None, headers=headers)

    def parameters(self, operation, path, query):
        values = {}
        for parameter in operation["parameters"]:
            name, shape = parameter["name"], resolve(parameter["shape"])
            given = [path[name]] if parameter["location"] == "path" else query.get(name)
            if given is None:
                continue
            sort = kind(shape["kind"])[0]
            try:
                value = given if sort == "array" else {"integer": int, "number": float}.get(sort, str)(given[0])
            except ValueError:
                raise Refusal(422, f"{name} is malformed")
            if not valid(shape, value):
                raise Refusal(422, f"{name} is invalid")
            values[name] = value
        return values

    def body(self, operation, behaviour, raw):
        if not operation["body"]:
            return None
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refusal(422, "the body is not JSON")
        if not valid(operation["body"]["shape"], body):
            raise Refusal(422, "the body is invalid")
        return body

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one


if BUG == "crash":
    sys.exit("this service ends at once")
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
