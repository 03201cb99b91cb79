//! A table of verdicts as a picture, such as who reaches whom through which kinds of NAT.

use std::io;

use super::svg::{MARGIN, Svg, escaped, text_width};
use super::tip;

const ROW: f64 = 26.0;
const PADDING: f64 = 12.0;

/// A table of verdicts: rows by columns, each cell with a class, which is its colour, and a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    /// Stands above the table.
    pub title: String,
    /// What rows and columns are, beside the first names: the names of the two axes.
    pub axes: [String; 2],
    /// The names of the rows.
    pub rows: Vec<String>,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// By row and then by column; what is missing stays empty.
    pub cells: Vec<Vec<Cell>>,
    /// What each class means, for the legend; classes without a meaning are not explained.
    pub legend: Vec<(Class, String)>,
}

/// One verdict of a [`Matrix`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its colour.
    pub class: Class,
    /// A word or two.
    pub text: String,
    /// More, which browsers show under the pointer.
    pub more: String,
}

/// How good a verdict is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing is known.
    #[default]
    Unknown,
    /// As one wishes.
    Good,
    /// It works, at a price.
    Fair,
    /// It does not work, and cannot.
    Bad,
    /// It is not as it should be: what a reader must see first.
    Wrong,
}

impl Matrix {
    /// Draws the table as SVG.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_svg(&self, out: &mut impl io::Write) -> io::Result<()> {
        let grid = Grid::new(self);
        let mut svg = Svg::new(grid.width, grid.height, &self.title);
        svg.text(MARGIN, 30.0, "title", &self.title);
        self.explain(&mut svg);
        self.name_axes(&mut svg, &grid);
        for (row, cells) in self.cells.iter().enumerate().take(self.rows.len()) {
            for (column, cell) in cells.iter().enumerate().take(self.columns.len()) {
                cell.draw(&mut svg, &grid, row, column);
            }
        }
        out.write_all(svg.end().as_bytes())
    }

    fn explain(&self, svg: &mut Svg) {
        let mut x = MARGIN;
        for (class, words) in &self.legend {
            tile(svg, *class, (x, 44.0), (16.0, 16.0), "");
            svg.text(x + 22.0, 56.0, "small", words);
            x += 22.0 + text_width(words) + 20.0;
        }
    }

    fn name_axes(&self, svg: &mut Svg, grid: &Grid) {
        let [rows, columns] = &self.axes;
        svg.text(MARGIN, grid.top - 8.0, "small", rows);
        svg.text(grid.left, grid.head, "small", columns);
        for (row, name) in self.rows.iter().enumerate() {
            let (_, y) = grid.corner(row, 0);
            svg.text(MARGIN, y + ROW / 2.0 + 4.0, "", name);
        }
        for (column, name) in self.columns.iter().enumerate() {
            let (x, y) = (grid.corner(0, column).0 + grid.column / 2.0, grid.top - 8.0);
            if grid.is_slanted {
                let turn = format!("transform=\"rotate(-45 {x:.1} {y:.1})\"");
                svg.raw(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {turn}>{}</text>", escaped(name)));
            } else {
                svg.centred(x, y, "", name);
            }
        }
    }
}

/// Where cells are.
struct Grid {
    left: f64,
    top: f64,
    column: f64,
    /// Where the name of the columns' axis stands.
    head: f64,
    width: f64,
    height: f64,
    is_slanted: bool,
}

impl Grid {
    fn new(matrix: &Matrix) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text_width(text)).fold(0.0, f64::max);
        let column = widest(&mut matrix.cells.iter().flatten().map(|cell| &cell.text)).max(30.0) + PADDING;
        let left = MARGIN + widest(&mut matrix.rows.iter().chain([&matrix.axes[0]])) + PADDING;
        let name = widest(&mut matrix.columns.iter());
        // Names that are wider than their columns lean to the right: their height and their overhang are alike.
        let is_slanted = name > column;
        let slant = if is_slanted { name * 0.62 } else { 0.0 };
        let head = if matrix.legend.is_empty() { 56.0 } else { 82.0 };
        let top = head + slant + 28.0;
        let table = left + matrix.columns.len() as f64 * column + (slant - column / 2.0).max(0.0);
        let legend: f64 = matrix.legend.iter().map(|(_, words)| text_width(words) + 42.0).sum();
        let title = text_width(&matrix.title) * 1.8;
        let width = table.max(MARGIN + legend).max(MARGIN + title) + MARGIN;
        let height = top + matrix.rows.len() as f64 * ROW + MARGIN;
        Self { left, top, column, head, width, height, is_slanted }
    }

    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (self.left + column as f64 * self.column, self.top + row as f64 * ROW)
    }
}

impl Cell {
    fn draw(&self, svg: &mut Svg, grid: &Grid, row: usize, column: usize) {
        let (x, y) = grid.corner(row, column);
        svg.open("");
        tile(svg, self.class, (x + 1.0, y + 1.0), (grid.column - 2.0, ROW - 2.0), &self.more);
        let fill = if self.class == Class::Wrong { "fill:#fff;font-weight:bold" } else { "fill:#111" };
        let (x, y, words) = (x + grid.column / 2.0, y + ROW / 2.0 + 4.0, escaped(&self.text));
        svg.raw(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" style=\"{fill};pointer-events:none\">{words}</text>"
        ));
        svg.close();
    }
}

fn tile(svg: &mut Svg, class: Class, (x, y): (f64, f64), (width, height): (f64, f64), more: &str) {
    let (fill, edge) = class.colours();
    svg.raw(&format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"3\" fill=\"{fill}\" \
         stroke=\"{edge}\">{}</rect>",
        tip(more)
    ));
}

impl Class {
    /// Fill and edge. In grey they are told apart by lightness.
    const fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("#ffffff", "#bbbbbb"),
            Self::Good => ("#a6d8f5", "#56b4e9"),
            Self::Fair => ("#f7e08a", "#c9a400"),
            Self::Bad => ("#d0d0d0", "#888888"),
            Self::Wrong => ("#b3001b", "#6e0010"),
        }
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    #[test]
    fn a_table_has_a_tile_for_each_cell_whatever_its_text_and_leaves_out_what_has_no_name() {
        let cell = |text: &str| Cell { class: Class::Wrong, text: text.into(), more: "a < b".into() };
        let matrix = Matrix {
            title: "<&>".into(),
            rows: vec!["\"row\"".into()],
            columns: vec!["a".into(), "a name that is wider than its column".into()],
            cells: vec![vec![cell("<no>"), cell("yes"), cell("beyond")], vec![cell("below")]],
            ..Matrix::default()
        };
        let mut svg = Vec::new();
        matrix.write_svg(&mut svg).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        let document = Document::parse(&svg).unwrap();
        let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).collect();
        let texts: Vec<_> = texts.iter().filter_map(roxmltree::Node::text).collect();
        assert_eq!(texts, ["<&>", "\"row\"", "a", "a name that is wider than its column", "<no>", "yes"]);
        assert_eq!(svg.matches("<title>a &lt; b</title>").count(), 2);
        Matrix::default().write_svg(&mut Vec::new()).unwrap();
    }
}
