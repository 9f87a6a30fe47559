//! Plain-text tables for reports.

use std::fmt;

/// Rows of text under headings; each column is as wide as its longest cell.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(headings: [&'static str; COLUMNS]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        // A cell is one line, but text from the database can have several.
        self.rows.push(cells.map(|cell| cell.replace(['\n', '\r', '\t'], " ")));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn line(f: &mut fmt::Formatter<'_>, cells: &[&str], widths: &[usize]) -> fmt::Result {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        f.write_str(line.trim_end())
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].chars().count()]).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..COLUMNS).map(width).collect();
        Self::line(f, &self.headings, &widths)?;
        for row in &self.rows {
            f.write_str("\n")?;
            Self::line(f, &row.each_ref().map(String::as_str), &widths)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(["a", "heading"]);
        table.row(["long one".into(), "x\ny".into()]);
        table.row(["ä".into(), String::new()]);
        assert_eq!(table.to_string(), "a         heading\nlong one  x y\nä");
    }
}
