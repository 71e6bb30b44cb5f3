//! Examples of the checks for tests.

use super::tests::{Example, example};

pub(super) fn examples() -> Vec<Example> {
    let parts: [fn() -> Vec<Example>; 3] = [assertions, hygiene, coverage];
    parts.into_iter().flat_map(|part| part()).collect()
}

fn assertions() -> Vec<Example> {
    vec![
        example(
            "test-assertion",
            "tests/test_a.py",
            "def test_a(client):\n    client.get('/a')\n",
            &[1],
            "def test_a(client):\n    assert client.get('/a').status_code == 200\n\n\ndef test_b():\n    with pytest.raises(ValueError):\n        f()\n\n\ndef same(a):\n    assert a\n\n\ndef test_c():\n    same(1)\n\n\nclass TestD:\n    def test_d(self):\n        self.assertEqual(1, 1)\n\n\ndef helper():\n    pass\n",
        ),
        example(
            "test-assertion",
            "a.test.ts",
            "it('works', () => {\n  render();\n});\n",
            &[1],
            "it('works', () => {\n  expect(render()).toBe(1);\n});\nregex.test('x');\n",
        ),
        example(
            "test-assertion",
            "tests/a.rs",
            "#[test]\nfn works() {\n    render();\n}\n",
            &[2],
            "#[test]\nfn works() {\n    assert_eq!(render(), 1);\n}\n#[tokio::test]\nasync fn too() {\n    check(1);\n}\n#[test]\n#[should_panic]\nfn ends() {\n    f();\n}\nfn helper() {}\n",
        ),
        example(
            "test-size",
            "tests/test_a.py",
            format!("def test_a():\n{}    assert x\n", "    f()\n".repeat(80)),
            &[1],
            "def test_a():\n    assert x\n",
        ),
        example(
            "test-size",
            "tests/test_a.py",
            format!("def test_a():\n{}", "    assert x\n".repeat(26)),
            &[1],
            format!("def test_a():\n{}", "    assert x\n".repeat(25)),
        ),
    ]
}

fn hygiene() -> Vec<Example> {
    let off = ["#[ig", "nore]"].concat();
    let reason = ["#[ig", "nore = \"needs a server\"]"].concat();
    vec![
        example(
            "test-sleep",
            "tests/test_a.py",
            "def test_a():\n    time.sleep(1)\n",
            &[2],
            "async def test_a():\n    await asyncio.sleep(0)\n    clock.sleep(1)\n",
        ),
        example("test-sleep", "a.test.ts", "await new Promise((r) => setTimeout(r, 100));\n", &[1], "setTimeout(f, 1);\n"),
        example("test-sleep", "src/a.rs", "#[test]\nfn t() { std::thread::sleep(d); }\n", &[2], "fn f() { std::thread::sleep(d); }\n"),
        example(
            "test-skipped",
            "tests/test_a.py",
            "@pytest.mark.skip\ndef test_a():\n    pass\n\n\n@pytest.mark.skipif(x)\ndef test_b():\n    pass\n",
            &[1, 6],
            "@pytest.mark.skip(reason='needs a server')\ndef test_a():\n    pass\n\n\n@pytest.mark.parametrize('a', [1])\ndef test_b():\n    pass\n",
        ),
        example(
            "test-skipped",
            "a.test.ts",
            "it.skip('a', f);\ntest.only('b', f);\nxit('c', f);\n",
            &[1, 2, 3],
            "// The server of others is away until spring.\nit.skip('a', f);\nit('b', f);\n",
        ),
        example("test-skipped", "tests/a.rs", format!("#[test]\n{off}\nfn t() {{}}\n"), &[2], format!("#[test]\n{reason}\nfn t() {{}}\n")),
        example(
            "test-network",
            "tests/test_a.py",
            "def test_a():\n    httpx.get('https://books.test/a')\n",
            &[2],
            "def test_a():\n    httpx.get('http://localhost:8000/a')\n    client.get('https://books.test/a')\n",
        ),
        example(
            "test-network",
            "a.test.ts",
            "await fetch('https://books.test/a');\n",
            &[1],
            "await fetch(`http://127.0.0.1:${port}/a`);\nawait fetch('/a');\n",
        ),
    ]
}

fn coverage() -> Vec<Example> {
    let report = |total: f64, file: f64| {
        format!(
            "{{\"meta\": {{}}, \"totals\": {{\"percent_covered\": {total}, \"num_statements\": 99}}, \"files\": {{\"a.py\": {{\"summary\": {{\"percent_covered\": {file}, \"num_statements\": 20}}}}}}}}"
        )
    };
    let exclusion = "# pragma: no cover";
    vec![
        example("coverage-threshold", "coverage.json", report(79.9, 49.9), &[1, 1], report(80.0, 50.0)),
        example("coverage-threshold", "coverage.json", "{\n\"totals\": 1}", &[2], report(100.0, 100.0)),
        example("coverage-exclusion", "a.py", format!("x = 1  {exclusion}\n"), &[1], format!("x = 1  {exclusion}: only on Windows\n")),
        example(
            "coverage-exclusion",
            "a.ts",
            "/* istanbul ignore next */\nf();\n",
            &[1],
            "/* istanbul ignore next: only in old browsers */\nf();\n",
        ),
    ]
}
