use std::io::{self, IsTerminal, Write};

use tenantry::fan_out::{FanOutReport, TenantRows};

use super::format::{TENANT, Writer, names};
use crate::output::{Table, plain};

/// A table for people. The widths of its columns are those of the first rows: the rest is streamed.
pub(super) struct TableWriter<W> {
    out: W,
    first: Vec<Vec<String>>,
    headings: Option<Vec<String>>,
    widths: Option<Vec<usize>>,
}

/// The number of rows that are buffered before the first is printed.
const LOOKED_AT: usize = 1_000;

impl<W: Write> TableWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, first: Vec::new(), headings: None, widths: None }
    }

    /// Prints the buffered rows.
    fn flush_first(&mut self) -> io::Result<()> {
        let Some(headings) = &self.headings else { return Ok(()) };
        let rows = std::mem::take(&mut self.first);
        if io::stdout().is_terminal() && self.widths.is_none() {
            let mut table = Table::of(headings);
            rows.iter().for_each(|row| table.cells(row));
            writeln!(self.out, "{table}")?;
        }
        let lines = std::iter::once(headings).chain(&rows);
        let mut widths = vec![0; headings.len()];
        for line in lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !io::stdout().is_terminal() || self.widths.is_some() {
            line(&mut self.out, headings, &widths)?;
            rows.iter().try_for_each(|row| line(&mut self.out, row, &widths))?;
        }
        self.widths = Some(widths);
        self.out.flush()
    }
}

fn line(out: &mut impl Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    let text = padded.collect::<Vec<_>>().join("  ");
    writeln!(out, "{}", text.trim_end())
}

impl<W: Write> Writer for TableWriter<W> {
    fn rows(&mut self, rows: &TenantRows) -> io::Result<()> {
        let headings: Vec<_> =
            std::iter::once(TENANT.to_owned()).chain(names(rows)).map(|name| cell(&name)).collect();
        if self.headings.as_ref() != Some(&headings) {
            // Another tenant's columns can differ: a new table starts.
            if self.headings.is_some() {
                if self.widths.is_none() {
                    self.flush_first()?;
                }
                writeln!(self.out)?;
            }
            self.headings = Some(headings);
            self.widths = None;
        }
        let tenant = rows.tenant_id.as_deref().unwrap_or_default();
        for row in &rows.rows {
            let values = row.iter().map(|value| value.as_deref().map_or_else(String::new, cell));
            let cells: Vec<_> = std::iter::once(tenant.to_owned()).chain(values).collect();
            match &self.widths {
                Some(widths) => line(&mut self.out, &cells, widths)?,
                None => self.first.push(cells),
            }
        }
        if self.widths.is_none() && self.first.len() >= LOOKED_AT {
            self.flush_first()?;
        }
        Ok(())
    }

    fn end(&mut self, _: &FanOutReport) -> io::Result<()> {
        if self.widths.is_none() {
            self.flush_first()?;
        }
        self.out.flush()
    }
}

/// A value on one line.
fn cell(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}
