//! What top shows: a table of TVIEWs, and a line about the whole.
//!
//! Invariant: it draws what it is given and asks nobody. Called by top; the cells also by its batch form.

use super::sample::Rate;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

pub const TITLES: [&str; 8] = ["TVIEW", "flushes/s", "ms", "waiting", "rows/s", "full", "failed", "behind"];

/// By what the rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Time,
    Flushes,
    Name,
}

impl Order {
    pub fn next(self) -> Order {
        match self {
            Order::Time => Order::Flushes,
            Order::Flushes => Order::Name,
            Order::Name => Order::Time,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Order::Time => "time",
            Order::Flushes => "flushes",
            Order::Name => "name",
        }
    }

    pub fn sort(self, rates: &mut [Rate]) {
        let time = |r: &Rate| r.flushes * r.latency.unwrap_or(0.0);
        match self {
            Order::Time => rates.sort_by(|a, b| time(b).total_cmp(&time(a))),
            Order::Flushes => rates.sort_by(|a, b| b.flushes.total_cmp(&a.flushes)),
            Order::Name => rates.sort_by(|a, b| a.tview.cmp(&b.tview)),
        }
    }
}

pub struct View<'a> {
    pub database: &'a str,
    pub rates: &'a [Rate],
    pub recovery: Option<&'a (i64, i64, String)>,
    pub order: Order,
    pub paused: bool,
    pub error: Option<&'a str>,
}

pub fn draw(frame: &mut Frame, view: &View) {
    let [head, table, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(2), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(Paragraph::new(summary(view)), head);
    let width = view.rates.iter().map(|r| r.tview.chars().count()).max().unwrap_or(0).clamp(12, 48) as u16;
    let widths = [width, 10, 9, 8, 10, 6, 7, 16].map(Constraint::Length);
    let rows = view.rates.iter().map(|rate| {
        let alarm = rate.failures > 0.0 || rate.waiting > 0 || rate.behind.is_some_and(|(_, _, late)| late);
        let style = if alarm {
            Style::new().fg(Color::Red)
        } else if rate.flushes > 0.0 {
            Style::new()
        } else {
            Style::new().fg(Color::DarkGray)
        };
        Row::new(cells(rate).map(Cell::from)).style(style)
    });
    let header = Row::new(TITLES).style(Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED));
    frame.render_widget(Table::new(rows, widths).header(header), table);
    frame.render_widget(Paragraph::new(format!("q ends · s orders by {} · p pauses", view.order.next().word())), foot);
}

fn summary<'a>(view: &View<'a>) -> Line<'a> {
    let flushes: f64 = view.rates.iter().map(|r| r.flushes).sum();
    let waiting: i64 = view.rates.iter().map(|r| r.waiting).sum();
    let mut spans = vec![
        Span::styled(view.database, Style::new().add_modifier(Modifier::BOLD)),
        format!("  {} TVIEWs, {flushes:.1} flushes/s", view.rates.len()).into(),
    ];
    let red = Style::new().fg(Color::Red);
    if waiting > 0 {
        spans.push(Span::styled(format!(", {waiting} sessions wait"), red));
    }
    if let Some((done, total, now)) = view.recovery {
        spans.push(Span::styled(format!(", recovery: {done} of {total}, now {now}"), Style::new().fg(Color::Yellow)));
    }
    if view.paused {
        spans.push(", paused".into());
    }
    if let Some(error) = view.error {
        spans.push(Span::styled(format!(", {error}"), red));
    }
    Line::from(spans)
}

/// A row as text.
pub fn cells(rate: &Rate) -> [String; 8] {
    let number = |n: f64| if n == 0.0 { String::new() } else { format!("{n:.0}") };
    let waiting = match (rate.waiting, rate.waited) {
        (0, share) if share < 0.005 => String::new(),
        (0, share) => format!("{:.0} %", share * 100.0),
        (sessions, share) => format!("{sessions}, {:.0} %", share * 100.0),
    };
    [
        rate.tview.clone(),
        format!("{:.1}", rate.flushes),
        rate.latency.map_or_else(String::new, |l| format!("{l:.2}")),
        waiting,
        format!("{:.1}", rate.rows),
        number(rate.full),
        number(rate.failures),
        rate.behind.map_or_else(String::new, |(rows, seconds, late)| {
            format!("{rows} rows, {seconds:.0} s{}", if late { " !" } else { "" })
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    #[test]
    fn a_screen() {
        let busy = Rate {
            tview: "public.page".into(),
            flushes: 12.5,
            rows: 25.0,
            latency: Some(1.234),
            waited: 0.5,
            waiting: 2,
            ..Rate::default()
        };
        let late = Rate { tview: "late".into(), behind: Some((7, 90.0, true)), ..Rate::default() };
        let recovery = (3, 9, "page".to_string());
        let rates = [busy, late];
        let view = View {
            database: "shop",
            rates: &rates,
            recovery: Some(&recovery),
            order: Order::Time,
            paused: false,
            error: None,
        };
        let mut terminal = Terminal::new(TestBackend::new(100, 6)).unwrap();
        terminal.draw(|frame| draw(frame, &view)).unwrap();
        let text = terminal.backend().to_string();
        for part in [
            "shop  2 TVIEWs, 12.5 flushes/s, 2 sessions wait, recovery: 3 of 9, now page",
            "public.page",
            "1.23",
            "2, 50 %",
            "7 rows, 90 s !",
            "q ends",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn orders() {
        let rate = |name: &str, flushes, latency| Rate {
            tview: name.into(),
            flushes,
            latency: Some(latency),
            ..Rate::default()
        };
        let mut rates = [rate("b", 10.0, 1.0), rate("c", 1.0, 50.0), rate("a", 5.0, 1.0)];
        let mut names = |order: Order| {
            order.sort(&mut rates);
            rates.iter().map(|r| r.tview.clone()).collect::<String>()
        };
        assert_eq!(
            (names(Order::Time), names(Order::Flushes), names(Order::Name)),
            ("cba".into(), "bac".into(), "abc".into())
        );
    }
}
