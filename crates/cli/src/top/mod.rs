//! `tviews top`: the TVIEWs of a database at work, live or for one interval.
//!
//! Invariant: the terminal is as it was when the command ends, however it ends; a connection that breaks is shown and taken up again. Called by main.

mod sample;
mod screen;

use crate::arguments::Top;
use crate::outcome::Outcome;
use crate::server;
use anyhow::Result;
use postgres::Client;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use sample::{Rate, Sample, rates, take};
use screen::{Order, TITLES, View, cells, draw};
use std::time::{Duration, Instant};

pub fn run(arguments: &Top) -> Result<Outcome> {
    let mut client = server::connect_extension(&arguments.dsn)?;
    let interval = Duration::from_secs_f64(arguments.interval);
    let first = take(&mut client)?;
    if arguments.once {
        std::thread::sleep(interval);
        let now = take(&mut client)?;
        let mut found = rates(&first, &now);
        Order::Time.sort(&mut found);
        print(&found, &now);
        return Ok(Outcome::Good);
    }
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, client, first, &arguments.dsn, interval);
    ratatui::restore();
    ended.map(|()| Outcome::Good)
}

fn watch(terminal: &mut DefaultTerminal, client: Client, first: Sample, dsn: &str, interval: Duration) -> Result<()> {
    let (mut client, mut before) = (Some(client), first);
    let (mut order, mut paused, mut error): (_, _, Option<String>) = (Order::Time, false, None);
    let mut found: Vec<Rate> = rates(&before, &before);
    loop {
        order.sort(&mut found);
        let view = View {
            database: &before.database,
            rates: &found,
            recovery: before.recovery.as_ref(),
            order,
            paused,
            error: error.as_deref(),
        };
        terminal.draw(|frame| draw(frame, &view))?;
        let next = Instant::now() + interval;
        while let Some(rest) = next.checked_duration_since(Instant::now()) {
            if !event::poll(rest)? {
                break;
            }
            let Event::Key(key) = event::read()? else { break };
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Char('s') => order = order.next(),
                KeyCode::Char('p') => paused = !paused,
                _ => continue,
            }
            break;
        }
        if paused || Instant::now() < next {
            continue;
        }
        let looked = match client.take() {
            Some(mut open) => take(&mut open).map(|s| (open, s)),
            None => server::connect_extension(dsn).and_then(|mut open| take(&mut open).map(|s| (open, s))),
        };
        match looked {
            Ok((open, now)) => {
                found = rates(&before, &now);
                (client, before, error) = (Some(open), now, None);
            }
            Err(why) => error = Some(why.to_string()),
        }
    }
}

/// The rates of one interval as a table, and what recovery does.
fn print(found: &[Rate], now: &Sample) {
    let rows: Vec<[String; 8]> = std::iter::once(TITLES.map(str::to_string)).chain(found.iter().map(cells)).collect();
    let mut widths = [0; 8];
    for row in &rows {
        row.iter().zip(&mut widths).for_each(|(cell, width)| *width = (*width).max(cell.chars().count()));
    }
    for row in &rows {
        let cell = |(at, (text, width)): (usize, (&String, usize))| {
            if at == 0 { format!("{text:width$}") } else { format!("{text:>width$}") }
        };
        let line: Vec<String> = row.iter().zip(widths).enumerate().map(cell).collect();
        println!("{}", line.join("  ").trim_end());
    }
    if let Some((done, total, at)) = &now.recovery {
        println!("recovery: {done} of {total}, now {at}");
    }
}
