//! Examples of the checks for pages, components and styles.

use super::tests::{Example, example};

pub(super) fn examples() -> Vec<Example> {
    let parts: [fn() -> Vec<Example>; 4] = [components, accessibility, reach, styles];
    parts.into_iter().flat_map(|part| part()).collect()
}

fn components() -> Vec<Example> {
    let lines = "      <p>a</p>\n".repeat(150);
    vec![
        example(
            "component-size",
            "a.tsx",
            format!("export function Page() {{\n  return (\n    <div>\n{lines}    </div>\n  );\n}}\n"),
            &[1],
            "export const Page = () => <p>a</p>;\n",
        ),
        example(
            "list-key",
            "a.tsx",
            "const a = b.map((x) => <li>{x.name}</li>);\nconst c = d.map((x, i) => (\n  <li key={i}>{x}</li>\n));\n",
            &[1, 3],
            "const a = b.map((x) => <li key={x.id}>{x.name}</li>);\nconst c = d.map((x) => x.id);\nconst e = f.map((x) => { return <Row {...x} />; });\n",
        ),
        example(
            "inline-style",
            "a.tsx",
            "const a = <p style={{ color: 'red' }}>b</p>;\n",
            &[1],
            "const a = <p style={{ width: `${w}%` }}>b</p>;\nconst c = <p style={own}>b</p>;\n",
        ),
        example("inline-style", "a.html", "<p style=\"color: red\">a</p>\n", &[1], "<p class=\"warning\">a</p>\n"),
    ]
}

fn accessibility() -> Vec<Example> {
    vec![
        example(
            "image-alt",
            "a.tsx",
            "const a = <img src={b} />;\n",
            &[1],
            "const a = <img src={b} alt=\"\" />;\nconst c = <img {...d} />;\nconst e = <Image src={b} />;\n",
        ),
        example("image-alt", "a.html", "<p>a</p>\n<img src=\"b\">\n", &[2], "<img src=\"b\" alt=\"c\">\n"),
        example(
            "button-name",
            "a.tsx",
            "const a = <button onClick={f}><TrashIcon /></button>;\nconst b = <button />;\n",
            &[1, 2],
            "const a = <button onClick={f}>Delete</button>;\nconst b = <button>{label}</button>;\nconst c = <button aria-label=\"Delete\"><TrashIcon /></button>;\nconst d = <button><img src={s} alt=\"Delete\" /></button>;\n",
        ),
        example("button-name", "a.html", "<button><svg></svg></button>\n", &[1], "<button>Go</button>\n"),
        example(
            "input-label",
            "a.tsx",
            "const a = <input placeholder=\"Name\" />;\nconst b = <select id=\"x\"></select>;\n",
            &[1, 2],
            "const a = <label>Name <input /></label>;\nconst b = <><label htmlFor=\"x\">X</label><select id=\"x\"></select></>;\nconst c = <input type=\"hidden\" />;\nconst d = <textarea aria-label=\"Text\" />;\nconst e = <input {...field} />;\n",
        ),
        example("input-label", "a.html", "<input type=\"text\" name=\"a\">\n", &[1], "<label for=\"a\">A</label><input id=\"a\">\n"),
    ]
}

fn reach() -> Vec<Example> {
    vec![
        example(
            "positive-tabindex",
            "a.tsx",
            "const a = <p tabIndex={2}>b</p>;\n",
            &[1],
            "const a = <p tabIndex={0}>b</p>;\nconst c = <p tabIndex={-1}>b</p>;\nconst d = <p tabIndex={e}>b</p>;\n",
        ),
        example("positive-tabindex", "a.html", "<p tabindex=\"3\">a</p>\n", &[1], "<p tabindex=\"0\">a</p>\n"),
        example(
            "click-without-key",
            "a.tsx",
            "const a = <div onClick={f}>b</div>;\n",
            &[1],
            "const a = <button onClick={f}>b</button>;\nconst c = <div role=\"button\" onClick={f} onKeyDown={g}>b</div>;\nconst d = <Card onClick={f} />;\n",
        ),
        example(
            "link-target",
            "a.tsx",
            "const a = <a href=\"#\" onClick={f}>b</a>;\nconst c = <a>d</a>;\n",
            &[1, 2],
            "const a = <a href=\"/b\">b</a>;\nconst c = <a href={d}>d</a>;\nconst e = <a {...f}>g</a>;\n",
        ),
        example("page-language", "a.html", "<html><body></body></html>\n", &[1], "<html lang=\"en\"><body></body></html>\n"),
    ]
}

fn styles() -> Vec<Example> {
    let rules = ".a { width: 10rem; }\n".repeat(20);
    let head = |meta: &str| format!("<html lang=\"en\">\n<head>{meta}</head>\n</html>\n");
    vec![
        example(
            "important",
            "a.css",
            "a { color: red !important; }\n",
            &[1],
            "a { color: red; }\n@media (prefers-reduced-motion: reduce) { a { animation: none !important; } }\n",
        ),
        example("id-selector", "a.css", "#a { color: red; }\n", &[1], ".a { color: #fff; }\n"),
        example(
            "pixel-font-size",
            "a.css",
            "a { font-size: 14px; }\nb { font: 12px/1.5 x; }\n",
            &[1, 2],
            "a { font-size: 1rem; padding: 3px; }\nb { font: 1rem/20px x; }\n",
        ),
        example(
            "fixed-width",
            "a.css",
            "a { width: 960px; }\n",
            &[1],
            "a { max-width: 960px; }\n@media (min-width: 1000px) { a { width: 960px; } }\nb { width: 40px; }\nc { width: min(960px, 100%); }\n",
        ),
        example("media-query", "a.css", rules.clone(), &[1], format!("{rules}@media (min-width: 40rem) {{ .a {{ width: 20rem; }} }}\n")),
        example("viewport", "a.html", head("<title>a</title>"), &[2], head("<meta name=\"viewport\" content=\"width=device-width\">")),
        example("viewport", "a.html", head("<meta name=\"viewport\" content=\"user-scalable=no\">"), &[2], "<p>a part of a page</p>\n"),
    ]
}
