//! Line charts as SVG, so that what the simulations found can be looked at.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000"];
const WIDTH: f64 = 744.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 224.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;
/// Parts of each axis; shares of 0.5 and of 1 both have round fifths.
const PARTS: u32 = 5;

/// A line of a chart.
pub struct Line {
    /// What it shows.
    pub label: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of shares, from 0 to `y_max`, over numbers of units.
pub struct Chart {
    /// The file's name without its ending.
    pub name: &'static str,
    /// Above the chart.
    pub title: &'static str,
    /// Below the horizontal axis.
    pub x_label: &'static str,
    /// The upper end of the vertical axis.
    pub y_max: f64,
    /// A share to compare with, as a broken line, and what it is.
    pub mark: (f64, &'static str),
    /// What is shown.
    pub lines: Vec<Line>,
}

impl Chart {
    /// Writes `learning-simulation/<name>.svg` beside the test's own folder in the build directory, and says where it is.
    pub fn write(&self) -> PathBuf {
        let program = std::env::current_exe().unwrap();
        let folder = program.ancestors().nth(2).unwrap().join("learning-simulation");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}.svg", self.name));
        fs::write(&file, self.svg()).unwrap();
        println!("chart: {}", file.display());
        file
    }

    fn svg(&self) -> String {
        let x_max = self.lines.iter().flat_map(|line| &line.points).fold(1.0, |max, point| point.0.max(max));
        let x = |value: f64| LEFT + value / x_max * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - value.min(self.y_max) / self.y_max * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{}</text>\n",
            self.title
        );
        for step in 0..=PARTS {
            let part = f64::from(step) / f64::from(PARTS);
            let (across, up) = (x(part * x_max), y(part * self.y_max));
            let right = WIDTH - RIGHT;
            writeln!(svg, "<path d=\"M{LEFT} {up:.1}H{right}\" stroke=\"#ddd\"/>").unwrap();
            let percent = part * self.y_max * 100.0;
            writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent:.0} %</text>", LEFT - 6.0, up + 4.0).unwrap();
            let below = HEIGHT - BOTTOM + 18.0;
            writeln!(svg, "<text x=\"{across:.1}\" y=\"{below}\" text-anchor=\"middle\">{:.0}</text>", part * x_max).unwrap();
        }
        writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x(x_max / 2.0), HEIGHT - 10.0, self.x_label).unwrap();
        let (mark, mark_label) = self.mark;
        let height = y(mark);
        writeln!(svg, "<path d=\"M{LEFT} {height:.1}H{}\" stroke=\"#555\" stroke-dasharray=\"4 4\"/>", WIDTH - RIGHT).unwrap();
        svg += &legend(self.lines.len(), "#555\" stroke-dasharray=\"4 4", mark_label);
        for (at, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let points: Vec<String> = line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
            writeln!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", points.join(" ")).unwrap();
            svg += &legend(at, colour, &line.label);
        }
        svg + "</svg>\n"
    }
}

/// An entry beside the chart, so many below the first one.
fn legend(at: usize, stroke: &str, label: &str) -> String {
    let (left, down) = (WIDTH - RIGHT + 12.0, (TOP + 8.0) + 20.0 * f64::from(u32::try_from(at).unwrap()));
    let (beside, below) = (left + 24.0, down + 4.0);
    format!("<path d=\"M{left} {down}h18\" stroke=\"{stroke}\" stroke-width=\"2\"/>\n<text x=\"{beside}\" y=\"{below}\">{label}</text>\n")
}

#[test]
fn a_chart_is_a_document_with_its_lines() {
    let line = |label: &str| Line { label: label.to_owned(), points: vec![(0.0, 0.0), (100.0, 0.5)] };
    let lines = vec![line("one"), line("other")];
    let svg = Chart { name: "sample", title: "Sample", x_label: "units", y_max: 1.0, mark: (0.05, "allowed"), lines }.svg();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let drawn: Vec<_> = document.descendants().filter(|node| node.has_tag_name("polyline")).map(|node| node.attribute("points")).collect();
    assert_eq!(drawn, [Some("56.0,352.0 520.0,196.0"); 2]);
    assert!(svg.contains(">one</text>") && svg.contains(">other</text>") && svg.contains(">allowed</text>"), "{svg}");
}
