//! Hostile test of pg_tviews: statements that nobody should send.
//! Invariant: the last line is `N passed, N failed`, one for each case and each test of the parts; the first round of a seed is always the same.
//! Called by tools/check.py and by hand.

mod actor;
mod args;
mod corpus;
mod database;
mod deep;
mod errors;
mod identity;
mod log;
mod mode;
mod races;
mod report;
mod run;
mod scripts;
mod session;
mod watchdog;

use anyhow::Result;
use args::Args;
use clap::Parser;
use corpus::Case;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use report::Report;
use run::Runner;
use std::time::{Duration, Instant};

type Part = fn(&mut database::Server, &mut log::Log, &mut Report) -> Result<()>;

const PARTS: [(&str, Part); 3] = [("deep", deep::run), ("errors", errors::run), ("identity", identity::run)];

/// Dice of one case in one round: other cases do not change what it throws.
fn dice(args: &Args, round: u64, name: &str) -> ChaCha8Rng {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    ChaCha8Rng::seed_from_u64(hash ^ args.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round)
}

fn chosen(args: &Args, topic: &str, name: &str) -> bool {
    args.only.is_empty() || args.only.iter().any(|o| o == topic || o == name)
}

/// All cases of a topic.
fn topic(args: &Args, round: u64, name: &str, cases: &[Case], runner: &mut Runner, report: &mut Report) -> Result<()> {
    let started = Instant::now();
    let (mut good, mut runs) = (0, 0);
    for case in cases.iter().filter(|c| chosen(args, name, &c.name())) {
        let (ran, failures) = runner.case(case, args.runs, &mut dice(args, round, &case.name()))?;
        runs += ran;
        if failures.is_empty() {
            good += 1;
            continue;
        }
        report.case(&case.name(), &case.statements.join("; "), &failures);
    }
    if runs > 0 {
        println!("ok - {name}: {good} cases, {runs} runs, {:.1} s", started.elapsed().as_secs_f64());
        report.passed += good;
    }
    Ok(())
}

fn hostile(args: &Args) -> Result<bool> {
    let topics = corpus::load(&args.statements)?;
    let log = log::Log::open(args.log.clone())?;
    let server = database::Server::new(&args.dsn, &args.statements)?;
    let _scripts = scripts::Scripts::install(&mut server.admin()?)?;
    let mut runner = Runner::new(server, log, args.verbose)?;
    let mut report = Report::default();
    let started = Instant::now();
    let mut round = 0;
    loop {
        for (name, cases) in &topics {
            topic(args, round, name, cases, &mut runner, &mut report)?;
        }
        // these have no dice: once is enough
        for (name, part) in PARTS.iter().filter(|(name, _)| round == 0 && chosen(args, name, "")) {
            if let Err(e) = part(&mut runner.server, &mut runner.log, &mut report) {
                report.not_ok(name, &[format!("{e:#}")]);
                runner.server.make_template()?;
            }
        }
        if chosen(args, "races", "") {
            let dice = &mut dice(args, round, "races");
            races::run(&mut runner.server, &mut runner.log, &mut report, dice, args.races)?;
        }
        round += 1;
        if started.elapsed() >= Duration::from_secs(args.seconds) {
            break;
        }
    }
    runner.end()?;
    println!("{round} rounds in {:.0} s, seed {}", started.elapsed().as_secs_f64(), args.seed);
    Ok(report.end())
}

fn main() {
    match hostile(&Args::parse()) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(e) => {
            println!("not ok - {e:#}\n0 passed, 1 failed");
            std::process::exit(1);
        }
    }
}
