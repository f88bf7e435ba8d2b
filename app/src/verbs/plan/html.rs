//! A plan as one page that needs nothing else: a plot of the months, and the rows.

use std::fmt::Write as _;

use linchpin_tiering::plan::{Month, Plan};

use super::shown::{SUMS, amount};
use crate::table;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 80.0;
const BOTTOM: f64 = 28.0;

/// A part of the bill: name, colour, its amount in a month.
type Part = (&'static str, &'static str, fn(&Month) -> f64);

/// The parts of the bill, from the bottom of a bar.
const PARTS: [Part; 4] = [
    ("storage", "#2f6f9f", |month| month.storage),
    ("requests", "#8fbc5a", |month| month.requests),
    ("penalties", "#c8553d", |month| month.penalties),
    ("egress", "#e0b040", |month| month.egress),
];

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;color:#222}\
    table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}\
    td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}svg{width:100%;height:auto}text{font-size:12px;fill:#555}\
    @media(prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}td,th{border-color:#444}text{fill:#aaa}}";

pub(super) fn page(plan: &Plan, against: Option<&Plan>) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Retention plan</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n\
         <h1>Retention plan</h1>\n"
    );
    sums(&mut out, plan, against);
    plot(&mut out, plan, against);
    rows(&mut out, plan);
    let _ = writeln!(
        out,
        "<p>{:.1} GB a month are kept and taken in by no SIEM. Prices of {} in {}.</p>\n</body></html>",
        plan.siem_gb_avoided,
        escaped(&plan.prices),
        escaped(&plan.currency)
    );
    out
}

fn sums(out: &mut String, plan: &Plan, against: Option<&Plan>) {
    let currency = escaped(&plan.currency);
    out.push_str("<ul>\n");
    for (name, of) in SUMS {
        let _ = write!(out, "<li>{name}: <b>{} {currency}</b>", amount(of(plan)));
        if let Some(against) = against {
            let _ = write!(out, " (now {} {currency})", amount(of(against)));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
}

/// Bars of the months by part of the bill; the other policy is a line.
fn plot(out: &mut String, plan: &Plan, against: Option<&Plan>) {
    let totals =
        plan.months.iter().chain(against.into_iter().flat_map(|plan| &plan.months)).map(Month::total);
    let top = totals.fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    let (plot_width, plot_height) = (WIDTH - LEFT, HEIGHT - BOTTOM - 10.0);
    let step = plot_width / plan.months.len().max(1) as f64;
    let y = |value: f64| 10.0 + plot_height * (1.0 - value / top);
    let _ = writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"cost by month\">");
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let at = y(value);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8884\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            amount(value)
        );
    }
    for (n, month) in plan.months.iter().enumerate() {
        let (x, mut below) = (LEFT + step * n as f64, 0.0);
        for (name, colour, of) in PARTS {
            let value = of(month);
            if value > 0.0 {
                let _ = writeln!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.2}\" fill=\"{colour}\"><title>{}: {name} {}</title></rect>",
                    x + step * 0.1,
                    y(below + value),
                    step * 0.8,
                    y(below) - y(below + value),
                    day(month.from_ms),
                    amount(value)
                );
            }
            below += value;
        }
        if n % plan.months.len().div_ceil(12).max(1) == 0 {
            let _ =
                writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>", HEIGHT - 8.0, day(month.from_ms));
        }
    }
    if let Some(against) = against {
        let points: Vec<String> = against
            .months
            .iter()
            .enumerate()
            .map(|(n, month)| format!("{:.1},{:.1}", LEFT + step * (n as f64 + 0.5), y(month.total())))
            .collect();
        let points = points.join(" ");
        let _ = writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"#888\" stroke-width=\"2\" stroke-dasharray=\"6 4\"/>"
        );
    }
    out.push_str("</svg>\n<p>");
    for (name, colour, _) in PARTS {
        let _ = write!(out, "<span style=\"color:{colour}\">&#9632;</span> {name} ");
    }
    if against.is_some() {
        out.push_str("- - now");
    }
    out.push_str("</p>\n");
}

fn rows(out: &mut String, plan: &Plan) {
    out.push_str("<table><tr><th>Feed<th>Class<th>Tier<th>Events<th>Bytes<th>Storage<th>Requests<th>Penalties<th>Egress</tr>\n");
    for row in &plan.by {
        let _ = writeln!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&row.feed),
            escaped(&row.class),
            escaped(&row.tier),
            table::count(row.events.round() as u64),
            table::bytes(row.bytes.round() as u64),
            amount(row.storage),
            amount(row.requests),
            amount(row.penalties),
            amount(row.egress)
        );
    }
    out.push_str("</table>\n");
}

fn day(ms: i64) -> String {
    table::moment(ms).split('T').next().unwrap_or_default().to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use linchpin_tiering::plan::Row;

    use super::*;

    #[test]
    fn a_page_shows_months_and_rows_and_escapes_names() {
        let month =
            |n: i64| Month { from_ms: 1_800_000_000_000 + n, storage: 1.0 + n as f64, ..Month::default() };
        let row = Row { feed: "a<b>".to_owned(), storage: 2.0, ..Row::default() };
        let plan = Plan { months: (0..24).map(month).collect(), by: vec![row], ..Plan::default() };
        let page = page(&plan, Some(&plan));
        assert_eq!(page.matches("<rect").count(), 24);
        assert_eq!(page.matches("<polyline").count(), 1);
        assert!(page.contains("a&lt;b&gt;") && !page.contains("a<b>"));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }
}
