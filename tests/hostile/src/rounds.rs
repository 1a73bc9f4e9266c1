//! Rounds over all cases and parts, until the time is over.
//! Invariant: the first round of a seed is always the same, whatever is selected. Called by `main`.

use crate::args::Args;
use crate::corpus::Case;
use crate::parts::{PARTS, races};
use crate::report::Report;
use crate::run::Runner;
use crate::{corpus, database, log, scripts};
use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};

/// Dice of one case in one round: other cases do not change its throws.
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

/// Runs until the time is over.
pub fn run(args: &Args) -> Result<bool> {
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
