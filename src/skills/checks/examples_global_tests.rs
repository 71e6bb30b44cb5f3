//! Examples of the checks that every language shares.

use super::tests::{Example, example};

pub(super) fn examples() -> Vec<Example> {
    let parts: [fn() -> Vec<Example>; 6] = [structure, types, words, names, errors, inputs];
    parts.into_iter().flat_map(|part| part()).chain(secrets()).chain(dependencies()).collect()
}

fn structure() -> Vec<Example> {
    let body = |count: usize| "    x = 1\n".repeat(count);
    let deep = "def f(a):\n    if a:\n        for b in a:\n            while b:\n                if b.c:\n                    if b.d:\n                        return b\n";
    let flat = "function f(a) {\n  if (a === 1) { g(); } else if (a === 2) { h(); } else if (a === 3) { i(); } else if (a === 4) { j(); } else if (a === 5) { k(); }\n}\n";
    vec![
        example("syntax", "a.py", "x = 1\ndef f(:\n", &[2], "x = 1\n"),
        example("syntax", "a.css", "a { color: red; }\n}}\n", &[2], "a { color: red; }\n"),
        example(
            "function-length",
            "a.py",
            format!("y = 1\ndef f():\n{}", body(80)),
            &[2],
            format!("def f():\n    '''Docs\n\n\n    '''\n{}", body(79)),
        ),
        example(
            "function-length",
            "a.ts",
            format!("const f = () => {{\n{}}};\n", "  g();\n".repeat(90)),
            &[1],
            "const f = () => { g(); };\n",
        ),
        example(
            "nesting-depth",
            "a.py",
            deep,
            &[6],
            "def f(a):\n    if a:\n        def g(b):\n            if b:\n                if b.c:\n                    if b.d:\n                        if b.e:\n                            return b\n",
        ),
        example(
            "nesting-depth",
            "a.ts",
            "function f(a) {\n if (a) { if (a.b) { if (a.c) { if (a.d) {\n if (a.e) { g(); } } } } }\n}\n",
            &[3],
            flat,
        ),
        example(
            "nesting-depth",
            "a.rs",
            "fn f(a: &A) {\n if a.b { for c in &a.c { if c.d { match c.e {\n _ => if c.f { g() } } } } }\n}\n",
            &[3],
            "fn f(a: &A) { if a.b { 1 } else if a.c { 2 } else if a.d { 3 } else if a.e { 4 } else if a.f { 5 } else { 6 }; }\n",
        ),
    ]
}

fn types() -> Vec<Example> {
    vec![
        example(
            "type-annotations",
            "a.py",
            "def f(a, b: int, *c, d=1, **e):\n    pass\n\n\nclass K:\n    def m(self) -> None:\n        pass\n\n    @staticmethod\n    def s(x) -> None:\n        pass\n",
            &[1, 1, 1, 1, 1, 10],
            "def f(a: int, *, b: str = 'x') -> None:\n    def inner(y):\n        return y\n\n\ndef _own(a):\n    return a\n\n\nclass K:\n    def __init__(self, a: int):\n        self.a = a\n",
        ),
        example(
            "type-annotations",
            "a.ts",
            "export function f(a, b: string) { return a; }\n",
            &[1],
            "function own(a) { return a; }\nexport function f({ a }: P, b = 1) { return a; }\n",
        ),
        example("explicit-any", "a.ts", "const a: string = '';\nconst b: any = a;\n", &[2], "const any: unknown = 1;\n"),
        example(
            "mutable-default",
            "a.py",
            "def f(a=[], b: dict = {}, c=set()):\n    pass\n",
            &[1, 1, 1],
            "def f(a=None, b=(), c: int = 1, d=frozenset()):\n    pass\n",
        ),
        example("wildcard-import", "a.py", "from os import *\n", &[1], "from os import path\n"),
        example(
            "wildcard-import",
            "a.rs",
            "use crate::model::*;\n",
            &[1],
            "use crate::prelude::*;\nuse Kind::*;\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::model::*;\n}\n",
        ),
    ]
}

fn words() -> Vec<Example> {
    let long = "\n    a = 1\n    b = 2\n    c = 3\n    d = 4\n    return a\n";
    let marker = ["TO", "DO"].concat();
    vec![
        example(
            "public-docs",
            "a.py",
            format!("def f():{long}"),
            &[1],
            format!("def f():\n    '''Say why.'''{long}\n\ndef _own():{long}\n\ndef short():\n    return 1\n"),
        ),
        example(
            "public-docs",
            "a.rs",
            "pub struct S {\n    a: u8,\n    b: u8,\n    c: u8,\n    d: u8,\n}\n",
            &[1],
            "/// What it is.\n#[derive(Debug)]\npub struct S {\n    a: u8,\n    b: u8,\n    c: u8,\n    d: u8,\n}\n\nstruct Own {\n    a: u8,\n    b: u8,\n    c: u8,\n    d: u8,\n}\n",
        ),
        example(
            "public-docs",
            "a.ts",
            "export function f() {\n  a();\n  b();\n  c();\n  d();\n}\n",
            &[1],
            "/** What it is for. */\nexport function f() {\n  a();\n  b();\n  c();\n  d();\n}\n",
        ),
        example(
            "commented-out-code",
            "a.py",
            "# import os\nx = 1\n# session.commit()\n# total = count(rows)\n",
            &[1, 3, 4],
            "# Import order matters here: the first one wins.\n# see b.py (and c.py)\n# noqa: E501\n# return early, because\n# the result is x = y in that case\n# Example:\nx = 1\n",
        ),
        example(
            "commented-out-code",
            "a.ts",
            "// const a = b();\n/* return a; */\n",
            &[1, 2],
            "// Returns a; never b.\n/** const a = b(); */\n// eslint-disable-next-line no-alert;\nconst a = 1;\n",
        ),
        example(
            "commented-out-code",
            "a.rs",
            "// let a = b();\nfn f() {}\n",
            &[1],
            "/// let a = b();\n// `let a = b();` would copy.\n// What is left, is left; so be it.\nfn f() {}\n",
        ),
        example("open-marker", "a.py", format!("x = 1\n# {marker}: mend\n"), &[2], "# The methodical way.\nx = 'hack'\n"),
    ]
}

fn names() -> Vec<Example> {
    vec![
        example(
            "debug-output",
            "a.py",
            "print('here')\nimport pdb\npdb.set_trace()\n",
            &[1, 3],
            "def printed(p):\n    p.print()\n\n\nif __name__ == '__main__':\n    print('done')\n",
        ),
        example("debug-output", "a.ts", "console.log(a);\ndebugger;\n", &[1, 2], "console.error(a);\nlogger.log(a);\n"),
        example(
            "debug-output",
            "a.rs",
            "fn f() {\n    println!(\"x\");\n    dbg!(1);\n}\n",
            &[2, 3],
            "fn f() { write!(out, \"x\"); }\n#[cfg(test)]\nmod tests {\n    fn g() { println!(\"x\"); }\n}\n",
        ),
        example("class-naming", "a.py", "class my_class:\n    pass\n", &[1], "class MyClass:\n    pass\n\n\nclass _Own:\n    pass\n"),
        example("class-naming", "a.ts", "class my_class {}\n", &[1], "export class MyClass {}\n"),
    ]
}

fn errors() -> Vec<Example> {
    vec![
        example(
            "bare-except",
            "a.py",
            "try:\n    f()\nexcept:\n    g()\n",
            &[3],
            "try:\n    f()\nexcept ValueError:\n    g()\nexcept BaseException:\n    g()\n    raise\n",
        ),
        example(
            "broad-except",
            "a.py",
            "try:\n    f()\nexcept Exception:\n    g()\n",
            &[3],
            "try:\n    f()\nexcept Exception as error:\n    answer(error)\n\ntry:\n    f()\nexcept Exception:\n    logger.exception('f failed')\n\ntry:\n    f()\nexcept KeyError:\n    g()\n",
        ),
        example(
            "swallowed-error",
            "a.py",
            "for x in y:\n    try:\n        f()\n    except ValueError:\n        continue\n",
            &[4],
            "try:\n    f()\nexcept FileNotFoundError:\n    pass  # it was never there\n\ntry:\n    f()\nexcept KeyError:\n    g()\n",
        ),
        example(
            "swallowed-error",
            "a.ts",
            "try { f(); } catch (e) {}\nf().catch(() => {});\n",
            &[1, 2],
            "try { f(); } catch { /* it was never there */ }\nf().catch((e) => { g(e); });\n",
        ),
        example(
            "swallowed-error",
            "a.rs",
            "fn f() {\n    g().ok();\n}\n",
            &[2],
            "fn f() -> Option<u8> {\n    let a = g().ok();\n    g().ok()\n}\n",
        ),
        example("generic-error", "a.py", "raise Exception('no')\n", &[1], "raise ValueError('no')\n"),
        example("generic-error", "a.ts", "throw 'no';\n", &[1], "throw new Error('no');\n"),
        example(
            "unwrap",
            "a.rs",
            "fn f() { g().unwrap(); }\n",
            &[1],
            "fn f() { g().expect(\"it was checked\"); }\n#[cfg(test)]\nmod tests { fn f() { g().unwrap(); } }\n#[test]\nfn t() { g().unwrap(); }\n",
        ),
    ]
}

fn inputs() -> Vec<Example> {
    vec![
        example(
            "input-model",
            "a.py",
            "@router.post('/a')\ndef a(body: dict[str, Any]) -> A:\n    return f(body)\n\n\n@router.put('/b')\nasync def b(request: Request) -> A:\n    return f(await request.json())\n",
            &[2, 8],
            "@router.post('/a')\ndef a(body: ACreate) -> A:\n    return f(body)\n\n\n@router.get('/b')\ndef b(filters: dict) -> A:\n    return f(filters)\n",
        ),
        example(
            "input-limits",
            "a.py",
            "class BookCreate(BaseModel):\n    title: str\n    pages: int\n    isbn: str = Field(description='x')\n",
            &[2, 4],
            "class BookCreate(BaseModel):\n    title: Title\n    isbn: str = Field(max_length=13)\n\n\nclass Book(BaseModel):\n    title: str\n\n\nclass BookPatch(BaseModel):\n    model_config = ConfigDict(str_max_length=200)\n    title: str | None = None\n",
        ),
        example(
            "input-schema",
            "a.ts",
            "app.post('/a', (req, res) => {\n  save(req.body);\n});\n",
            &[2],
            "app.post('/a', (req, res) => {\n  save(Book.parse(req.body));\n});\n",
        ),
        example(
            "unsafe-call",
            "a.py",
            "eval(x)\nsubprocess.run(x, shell=True)\nyaml.load(x)\npickle.loads(x)\n",
            &[1, 2, 3, 4],
            "ast.literal_eval(x)\nsubprocess.run(['ls', x])\nyaml.load(x, Loader=yaml.SafeLoader)\nmodel.eval()\n",
        ),
        example(
            "unsafe-call",
            "a.tsx",
            "a.innerHTML = b;\nconst x = <p dangerouslySetInnerHTML={{ __html: b }} />;\neval(c);\n",
            &[1, 2, 3],
            "a.innerHTML = '';\na.textContent = b;\n",
        ),
    ]
}

fn secrets() -> Vec<Example> {
    let key = ["AKIA", "Q7RSTUVWXYZ23456"].concat();
    let token = ["ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"].concat();
    let value = ["9fJ2kLq8", "Zx7Vb3Nm"].concat();
    vec![
        example(
            "secret",
            "src/a.py",
            format!("x = 1\nkey = '{key}'\ntoken = '{token}'\n"),
            &[2, 3, 3],
            "key = os.environ['KEY']\nkey = 'AKIAIOSFODNN7EXAMPLE'\n",
        ),
        example(
            "secret",
            "src/settings.py",
            format!("API_KEY = \"{value}\"\n"),
            &[1],
            "password = \"changeme\"\npassword_hash = \"length(password_hash)\"\ntoken = get_token('x')\nsecret_name = 'the-name-of-it'\n",
        ),
        example(
            "secret",
            "deploy.yaml",
            format!("url: postgres://app:{value}@db.internal.net/x\n"),
            &[1],
            "url: postgres://user:password@db.internal.net/x\nurl: postgres://app:${PASSWORD}@db.internal.net/x\n",
        ),
        example("secret", "tests/test_a.py", format!("t = '{token}'\n"), &[1], format!("password = \"{value}\"\n")),
    ]
}

fn dependencies() -> Vec<Example> {
    vec![
        example(
            "pinned-dependencies",
            "requirements.txt",
            "fastapi\nuvicorn>=1\n",
            &[1, 2],
            "-r base.txt\nfastapi==0.165.0 \\\n    --hash=sha256:aa\n# uvicorn\nlocal @ file:///x\n",
        ),
        example(
            "pinned-dependencies",
            "package.json",
            "{\"dependencies\": {\n \"a\": \"*\",\n \"b\": \"^1.2.0\"}}\n",
            &[2],
            "{\"dependencies\": {\"b\": \"^1.2.0\"}}\n",
        ),
        example("pinned-dependencies", "Cargo.toml", "[dependencies]\na = \"*\"\n", &[2], "[dependencies]\na = \"1.2\"\n"),
        example(
            "pinned-dependencies",
            "Dockerfile",
            "FROM python\nFROM node:latest AS web\n",
            &[1, 2],
            "FROM python:3.12-slim AS build\nFROM build\nFROM scratch\nFROM x@sha256:aa\n",
        ),
    ]
}
