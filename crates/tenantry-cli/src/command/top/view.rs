//! Renders `top`.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style, Stylize},
    text::Line,
    widgets::{Cell, Paragraph, Row as Line_, Table},
};

use super::model::{Model, Row, SortBy};
use crate::{
    command::metrics::{bytes, seconds},
    output::plain,
};

/// The number of slow statements shown.
const SLOW: usize = 5;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let slow = model.look.slow.len().min(SLOW);
    let heights = [
        height(model.look.summary.len() + model.look.unseen.len()),
        Constraint::Min(3),
        height(if slow == 0 { 0 } else { slow + 1 }),
        Constraint::Length(1),
    ];
    let [summary, tenants, statements, keys] = Layout::vertical(heights).areas(frame.area());
    draw_summary(frame, summary, model);
    draw_tenants(frame, tenants, model);
    draw_slow(frame, statements, model);
    draw_keys(frame, keys, model);
}

fn height(lines: usize) -> Constraint {
    Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX))
}

fn draw_summary(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let summary = model.look.summary.iter().map(|line| Line::raw(plain(line)));
    let unseen =
        model.look.unseen.iter().map(|line| Line::raw(format!("not seen: {}", plain(line))).dim());
    frame.render_widget(Paragraph::new(summary.chain(unseen).collect::<Vec<_>>()), area);
}

/// The columns, with what they sort by and their widths.
const COLUMNS: [(&str, SortBy, Constraint); 7] = [
    ("tenant", SortBy::Tenant, Constraint::Min(12)),
    ("sessions", SortBy::Sessions, Constraint::Length(9)),
    ("active", SortBy::Sessions, Constraint::Length(7)),
    ("queries/s", SortBy::Queries, Constraint::Length(10)),
    ("waiting", SortBy::Waiting, Constraint::Length(8)),
    ("longest", SortBy::Longest, Constraint::Length(9)),
    ("size", SortBy::Size, Constraint::Length(9)),
];

/// The width of the column of servers.
const SERVER: Constraint = Constraint::Length(14);

fn draw_tenants(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let arrow = if model.descending { "▼" } else { "▲" };
    let headings = COLUMNS.iter().map(|(name, sort, _)| {
        let is_sorted = *sort == model.sort && *name != "active";
        if is_sorted { format!("{name}{arrow}") } else { (*name).to_owned() }
    });
    let mut headings: Vec<_> = headings.collect();
    let mut widths: Vec<_> = COLUMNS.iter().map(|(_, _, width)| *width).collect();
    let has_servers = model.look.has_servers;
    if has_servers {
        headings.insert(1, "server".to_owned());
        widths.insert(1, SERVER);
    }
    let headings = headings.into_iter().map(Cell::from);
    let heading = Line_::new(headings).style(Style::new().add_modifier(Modifier::REVERSED));
    let shown = usize::from(area.height);
    let rows = model.rows().iter().skip(model.offset).take(shown);
    let rows = rows.map(|row| cells(row, has_servers));
    frame.render_widget(Table::new(rows, widths).header(heading), area);
}

fn cells(row: &Row, has_servers: bool) -> Line_<'_> {
    let count =
        |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| format!("{count:.0}"));
    let waits = row.waiting.is_some_and(|waiting| waiting > 0.0);
    let mut cells = vec![
        plain(&row.tenant),
        count(row.sessions),
        count(row.active),
        row.queries.map_or_else(|| "-".to_owned(), |queries| format!("{queries:.1}")),
        count(row.waiting),
        seconds(row.longest),
        row.bytes.map_or_else(|| "-".to_owned(), bytes),
    ];
    if has_servers {
        cells.insert(1, plain(row.server.as_deref().unwrap_or("-")));
    }
    let line = Line_::new(cells);
    if waits { line.yellow() } else { line }
}

fn draw_slow(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let heading = Line::raw("slow statements").bold();
    let lines = model.look.slow.iter().take(SLOW).map(|slow| {
        let wait = if slow.wait.is_empty() { String::new() } else { format!(" [{}]", slow.wait) };
        let text = slow.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let server = slow.server.as_ref().map_or_else(String::new, |server| format!("@{server}"));
        let who = format!("{}{server}{wait}", slow.tenant);
        Line::raw(plain(&format!("{} {who} {text}", seconds(Some(slow.seconds)))))
    });
    if area.height > 0 {
        frame.render_widget(
            Paragraph::new(std::iter::once(heading).chain(lines).collect::<Vec<_>>()),
            area,
        );
    }
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let line = if let Some(error) = &model.error {
        Line::raw(plain(error).replace('\n', " ")).red()
    } else if model.is_typing {
        Line::raw(format!("filter: {}█  Enter keeps it, Esc clears it", plain(&model.filter)))
    } else {
        let paused = if model.is_paused { "PAUSED  " } else { "" };
        let filter = if model.filter.is_empty() {
            String::new()
        } else {
            format!("  filter: {}", plain(&model.filter))
        };
        let count = model.rows().len();
        Line::raw(format!("{paused}{count} tenants{filter}  s sort  r reverse  / filter  p pause  ↑↓ scroll  q quit")).dim()
    };
    frame.render_widget(Paragraph::new(line), area);
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::{
        super::model::{Key, Look, Slow},
        *,
    };

    fn screen(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        let lines = terminal.backend().to_string();
        lines.lines().map(|line| line.trim_matches('"').trim_end()).collect::<Vec<_>>().join("\n")
    }

    fn model() -> Model {
        let acme = Row {
            tenant: "acme".into(),
            server: None,
            sessions: Some(3.0),
            active: Some(2.0),
            queries: Some(12.34),
            waiting: Some(1.0),
            longest: Some(2.5),
            bytes: Some(5 * 1024 * 1024),
        };
        let hostile = Row { tenant: "x\u{1b}[2J".into(), ..Row::default() };
        let rows = [acme, hostile].map(|row| (row.tenant.clone(), row));
        let slow = Slow {
            tenant: "acme".into(),
            server: None,
            seconds: 2.5,
            wait: "Lock: relation".into(),
            text: "select\n  1".into(),
        };
        let mut model = Model::new(SortBy::Queries, String::new());
        model.update(Look {
            summary: vec!["PostgreSQL 15.4  5 of 100 connections".into()],
            rows: rows.into(),
            slow: vec![slow],
            has_servers: false,
            unseen: vec!["sizes: no right".into()],
        });
        model
    }

    #[test]
    fn a_screen_has_tenants_slow_statements_and_keys() {
        let model = model();
        insta::assert_snapshot!(screen(&model, 90, 10));
    }

    #[test]
    fn with_several_servers_there_is_a_column_of_them() {
        let mut model = model();
        let mut look = model.look.clone();
        look.has_servers = true;
        for row in look.rows.values_mut().filter(|row| row.tenant == "acme") {
            row.server = Some("eu-1".into());
        }
        look.slow[0].server = Some("eu-1".into());
        model.update(look);
        insta::assert_snapshot!(screen(&model, 100, 10));
    }

    #[test]
    fn a_narrow_and_low_screen_still_shows_the_tenants() {
        let mut model = model();
        let ended = "/ac".chars().any(|key| model.press(Key::Char(key)));
        assert!(!ended);
        insta::assert_snapshot!(screen(&model, 40, 8));
        // No size causes a panic.
        for (width, height) in [(1, 1), (5, 2), (200, 3)] {
            screen(&model, width, height);
        }
    }
}
