//! A plot of lines as SVG, which can be read on a light background and on a dark one.

use std::fmt::Write as _;

use crate::figures::{float, thousands};

/// Of the picture and of the plot in it, in pixels.
const SIZE: [f64; 2] = [640.0, 320.0];
const LEFT: f64 = 70.0;
const RIGHT: f64 = 605.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 280.0;
const GREY: &str = "#808890";
const COLOURS: [&str; 6] = ["#e8590c", "#3b82f6", "#2f9e44", "#ae3ec9", "#d6336c", "#1098ad"];

/// A line of a plot: its name, and points by x and y.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<[f64; 2]>,
}

/// Plots lines over axes that begin at zero and are divided evenly, so that what grows evenly is straight.
pub(crate) fn plot(title: &str, x_title: &str, lines: &[Line]) -> String {
    let greatest =
        |axis: usize| lines.iter().flat_map(|line| &line.points).map(|point| point[axis]).fold(0.0, f64::max);
    let [x_step, y_step] = [step(greatest(0)), step(greatest(1))];
    let [x_end, y_end] = [(greatest(0) / x_step).ceil() * x_step, (greatest(1) / y_step).ceil() * y_step];
    let x_of = |x: f64| LEFT + x / x_end * (RIGHT - LEFT);
    let y_of = |y: f64| BOTTOM - y / y_end * (BOTTOM - TOP);

    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"{GREY}\">\n<text x=\"{LEFT}\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n"
    );
    let text = |x: f64, y: f64, anchor: &str, text: &str| {
        format!("<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{text}</text>\n")
    };
    for tick in ticks(y_step, y_end) {
        let y = y_of(tick);
        writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{GREY}\" stroke-opacity=\"0.3\"/>").unwrap();
        svg += &text(LEFT - 8.0, y + 4.0, "end", &number(tick));
    }
    for tick in ticks(x_step, x_end) {
        svg += &text(x_of(tick), BOTTOM + 18.0, "middle", &number(tick));
    }
    svg += &text(RIGHT, BOTTOM + 36.0, "end", x_title);
    let mut legend = LEFT;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<_> = line.points.iter().map(|[x, y]| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        )
        .unwrap();
        for point in points {
            let (x, y) = point.split_once(',').unwrap();
            writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>").unwrap();
        }
        writeln!(svg, "<path d=\"M{legend:.0} 38h16\" stroke=\"{colour}\" stroke-width=\"2\"/>").unwrap();
        svg += &text(legend + 22.0, 42.0, "start", line.name);
        legend += 44.0 + 6.6 * float(line.name.len());
    }
    svg + "</svg>\n"
}

/// How far ticks are apart, so that there are three to eight of them: 1, 2 or 5 of a power of ten.
fn step(greatest: f64) -> f64 {
    let power = 10_f64.powf((greatest / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| greatest / step <= 6.0).unwrap_or(1.0)
}

fn ticks(step: f64, end: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |tick| f64::from(tick) * step).take_while(move |tick| *tick <= end * 1.000_001)
}

fn number(number: f64) -> String {
    if number >= 1000.0 { thousands(number.round()) } else { ((number * 1000.0).round() / 1000.0).to_string() }
}
