use std::{env, fmt};

use comfy_table::{Cell, ContentArrangement, TableStyle};
use rustix::termios::tcgetwinsize;

use super::plain;

/// A table for people: plain columns, wrapped to the width of the terminal, or as wide as needed elsewhere.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

impl Table {
    pub(crate) fn new<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self::of(&headings)
    }

    /// Creates a table whose columns are determined at run time.
    pub(crate) fn of<H: AsRef<str>>(headings: &[H]) -> Self {
        let headings = headings.iter().map(|heading| Cell::new(heading.as_ref()));
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new()).set_header(headings);
        match width() {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width)
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.cells(&cells);
    }

    /// Adds a row to such a table.
    pub(crate) fn cells(&mut self, cells: &[String]) {
        self.0.add_row(cells.iter().map(|cell| Cell::new(plain(cell).replace('\n', " "))));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.row_count() == 0
    }
}

/// Returns the width of the terminal, if standard output is one.
fn width() -> Option<u16> {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.or_else(|| tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col))
        .filter(|width| *width >= 20)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        f.write_str(&lines.join("\n"))
    }
}
