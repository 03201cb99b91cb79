//! SVG as text: elements, escapes, and how numbers and times are written.

pub(super) const MARGIN: f64 = 16.0;
/// From a line of text to the next.
pub(super) const LINE: f64 = 15.0;

const STYLE: &str = "\
text{font:11px 'DejaVu Sans',Verdana,sans-serif;fill:#222}\
.title{font-size:18px;font-weight:bold}\
.small{fill:#444}\
.name{font-size:13px;font-weight:bold}\
.gateway{font-size:13px;font-style:italic;fill:#444}\
.lane{stroke:#888;stroke-width:1.2}\
.door{stroke:#888;stroke-width:1.2;stroke-dasharray:7 4}\
.grid{stroke:#e6e6e6;stroke-width:1}\
.edge{stroke:#999;stroke-width:1}\
path.udp,path.tcp,path.late{fill:none;stroke-width:1.3}\
path.udp{stroke:#0072b2}path.tcp{stroke:#009e73}path.late{stroke:#555;stroke-dasharray:4 3}\
path.udp.late{stroke:#0072b2}path.tcp.late{stroke:#009e73}\
.bar.udp,rect.udp{fill:#0072b2;stroke:none}.bar.tcp,rect.tcp{fill:#57c4a4;stroke:none}\
.lost{fill:#c4001a}\
.dot{fill:#fff;stroke:#555;stroke-width:1}\
.cross{fill:none;stroke:#fff;stroke-width:5}.cross+path{fill:none;stroke:#c4001a;stroke-width:2.2}\
.leader{stroke:#888;stroke-width:.8}\
.label{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\
.path{fill:#8f3a84;stroke:#fff;stroke-width:1}.label.path{font-weight:bold;stroke-width:3px}\
.band0{fill:#cc79a7;opacity:.5}.band1{fill:#8f3a84;opacity:.35}\
.fault{fill:#e69f00;stroke:#7a5200;stroke-width:1}.label.fault{fill:#7a5200;stroke:#fff;stroke-width:3px;font-weight:bold}\
.cut{stroke:#e69f00;stroke-width:1;stroke-dasharray:2 3}\
.event{fill:#444;stroke:#fff;stroke-width:1}.label.event{fill:#333;stroke-width:3px}";

/// A picture under construction.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64, name: &str) -> Self {
        let name = escaped(name);
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n\
             <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        ))
    }

    pub(super) fn raw(&mut self, element: &str) {
        self.0 += element;
        self.0.push('\n');
    }

    /// Begins a group with these attributes.
    pub(super) fn open(&mut self, attributes: &str) {
        self.raw(&format!("<g {attributes}>"));
    }

    pub(super) fn close(&mut self) {
        self.raw("</g>");
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, words: &str) {
        self.raw(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words)));
    }

    /// Text that is centred at `x`.
    pub(super) fn centred(&mut self, x: f64, y: f64, class: &str, words: &str) {
        let words = escaped(words);
        self.raw(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{words}</text>"));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.raw(&format!("<path class=\"{class}\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>"));
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.raw(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// Where a packet was dropped.
    pub(super) fn cross(&mut self, x: f64, y: f64, why: &str) {
        let shape = format!("d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"", x - 4.0, y - 4.0);
        self.raw(&format!("<g>{}<path class=\"cross\" {shape}/><path {shape}/></g>", super::tip(why)));
    }

    pub(super) fn end(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

/// Text for XML 1.0, in elements and attributes; what XML cannot hold becomes U+FFFD.
pub(super) fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(char),
            ..' ' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            _ => xml.push(char),
        }
    }
    xml
}

/// An estimate that errs on the wide side, for 11 pixels.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().map(|char| if char < '\u{1100}' { 6.9 } else { 12.0 }).sum()
}

/// At most `most` characters on one line, the last one an ellipsis if something is missing.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let kept: String = line.chars().take(most - 1).collect();
    kept.trim_end().to_owned() + "…"
}

/// A moment in the unit that suits a scale on which `step` nanoseconds matter.
pub(super) fn time(nanos: u64, step: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    // Moments to the nanosecond are not for people: the largest unit that the moment has, to a thousandth.
    let (size, unit) = match step {
        0 | 1 => UNITS.into_iter().find(|(size, _)| nanos >= *size).unwrap_or(UNITS[0]),
        _ if nanos >= 10_000_000_000 => UNITS[0],
        _ => UNITS.into_iter().find(|(size, _)| step >= *size).unwrap_or(UNITS[3]),
    };
    let digits = decimals(size, step.max(size / 1000));
    let rest = nanos % size * 10_u64.pow(digits) / size;
    let fraction = if digits == 0 { String::new() } else { format!(".{rest:0width$}", width = digits as usize) };
    let fraction = if step <= 1 { fraction.trim_end_matches('0').trim_end_matches('.') } else { &fraction };
    format!("{}{fraction} {unit}", grouped(nanos / size))
}

/// Digits after the point until `step` shows in that unit.
fn decimals(size: u64, step: u64) -> u32 {
    (0..9).find(|digits| step.saturating_mul(10_u64.pow(*digits)) >= size).unwrap_or(9)
}

/// "1 packet", "1,200 packets".
pub(super) fn counted(count: u64, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{} {noun}{end}", grouped(count))
}

/// A number with a comma before each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<a b=\"&\">\u{1}\u{ffff}é\n"), "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}\u{fffd}é\n");
    }

    #[test]
    fn long_text_is_shortened_at_characters_and_to_one_line() {
        assert_eq!(shortened("two\n  words", 9), "two words");
        assert_eq!(shortened("größer als das", 8), "größer…");
        assert_eq!(shortened("🙂🙂🙂", 2), "🙂…");
    }

    #[test]
    fn times_have_the_unit_and_the_digits_of_their_scale() {
        let ms = 1_000_000;
        assert_eq!(time(1_500 * ms, 500 * ms), "1,500 ms");
        assert_eq!(time(12_050 * ms, 10 * ms), "12.05 s");
        assert_eq!(time(3_600_000 * ms, 1_000 * ms), "3,600 s");
        assert_eq!(time(250_000, 50_000), "250 µs");
        assert_eq!(time(0, 1), "0 s");
        assert_eq!(time(1_234_567_891, 1), "1.234 s");
        assert_eq!(time(41 * ms, 1), "41 ms");
        assert_eq!(time(u64::MAX, 1), "18,446,744,073.709 s");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2_000].map(|count| counted(count, "packet")), ["1 packet", "2,000 packets"]);
    }
}
