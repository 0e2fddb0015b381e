//! A plot of how costs grow with the number of keys, as SVG.

use std::fmt::Write as _;

use serde_json::Value;

/// What the names of its rows begin with.
const ROWS: &str = "growth-";
const SIZES: [(&str, f64); 4] = [("10k", 4.0), ("100k", 5.0), ("1M", 6.0), ("10M", 7.0)];
const OPERATIONS: [(&str, &str); 3] = [("verify", "#1b6ca8"), ("revoke", "#c0392b"), ("list", "#3d8b37")];
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 60.0;

/// The plot of these rows; none where fewer than two sizes were measured.
pub(crate) fn growth(rows: &[Value]) -> Option<String> {
    let lines: Vec<_> =
        OPERATIONS.iter().map(|(name, colour)| (*name, *colour, points(rows, name))).collect();
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|(_, _, points)| points.clone()).collect();
    if lines.iter().all(|(_, _, points)| points.len() < 2) {
        return None;
    }
    // Whole powers of ten around all of it.
    let low = all.iter().map(|(_, y)| y.floor()).fold(f64::INFINITY, f64::min);
    let high = all.iter().map(|(_, y)| y.ceil()).fold(f64::NEG_INFINITY, f64::max).max(low + 1.0);
    let x = |keys: f64| MARGIN + (keys - SIZES[0].1) / 3.0 * (WIDTH - 2.0 * MARGIN);
    let y = |cost: f64| HEIGHT - MARGIN - (cost - low) / (high - low) * (HEIGHT - 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>Cost of an operation by number of keys</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for (name, keys) in SIZES {
        grid(
            &mut svg,
            (x(keys), y(low)),
            (x(keys), y(high)),
            &format!("{name} keys"),
            (x(keys) - 20.0, y(low) + 20.0),
        );
    }
    for power in 0..=(high - low) as usize {
        let cost = low + power as f64;
        let label = format!("{} µs", 10_f64.powf(cost));
        grid(&mut svg, (x(SIZES[0].1), y(cost)), (x(SIZES[3].1), y(cost)), &label, (4.0, y(cost) + 4.0));
    }
    for (name, colour, points) in lines {
        let at: Vec<String> =
            points.iter().map(|(keys, cost)| format!("{:.1},{:.1}", x(*keys), y(*cost))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            at.join(" ")
        );
        if let Some((keys, cost)) = points.last() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
                x(*keys) + 6.0,
                y(*cost) + 4.0
            );
        }
    }
    Some(svg + "</svg>\n")
}

/// Logarithms of keys and microseconds.
fn points(rows: &[Value], operation: &str) -> Vec<(f64, f64)> {
    let of = |size: &str| {
        let name = format!("{ROWS}{size}-{operation}");
        let row = rows.iter().find(|row| row["row"] == name.as_str())?;
        row["ours"]["median"].as_f64().filter(|cost| *cost > 0.0)
    };
    SIZES.iter().filter_map(|(size, keys)| of(size).map(|cost| (*keys, cost.log10()))).collect()
}

fn grid(svg: &mut String, from: (f64, f64), to: (f64, f64), label: &str, at: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
        from.0, from.1, to.0, to.1, at.0, at.1
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plot_needs_two_sizes() {
        let row = |name: &str, median: f64| json!({"row": name, "ours": {"median": median}});
        let one = [row("growth-10k-verify", 40.0)];
        assert_eq!(growth(&one), None);
        let two =
            [row("growth-10k-verify", 40.0), row("growth-1M-verify", 50.0), row("growth-1M-list", 900.0)];
        let svg = growth(&two).unwrap();
        assert!(svg.contains("10 µs") && svg.contains("1000 µs") && svg.contains(">verify<"), "{svg}");
        assert_eq!(svg.matches("polyline").count(), 3);
    }
}
