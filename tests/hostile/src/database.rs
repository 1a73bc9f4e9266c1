//! The database of a case: a copy of the fixture, thrown away when something in it has changed.
//! Invariant: every run starts from the fixture and the setup of its case; `state` and `rights` are compared with those. Called by `run` and all parts.

use crate::session::{Answer, Session};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub const TEMPLATE: &str = "hostile_template";

pub struct Server {
    pub dsn: String,
    pub version: u32,
    /// name in which the cluster was given, for the databases around the cases
    home: String,
    fixture: PathBuf,
    copies: u32,
}

impl Server {
    pub fn new(dsn: &str, statements: &Path) -> Result<Server> {
        let config: postgres::Config = dsn.parse()?;
        let home = config.get_dbname().unwrap_or("postgres").to_string();
        let mut server =
            Server { dsn: dsn.to_string(), version: 0, home, fixture: statements.join("fixture"), copies: 0 };
        server.version = server.admin()?.one("SHOW server_version_num")?.parse::<u32>()? / 10_000;
        server.make_template()?;
        Ok(server)
    }

    /// A superuser's session outside of the databases of cases.
    pub fn admin(&self) -> Result<Session> {
        Session::connect_again(&self.dsn, &self.home, None)
    }

    pub fn script(&self, name: &str) -> Result<String> {
        let path = self.fixture.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Makes the fixture, again after a crash: the server has emptied unlogged relations.
    pub fn make_template(&mut self) -> Result<()> {
        let mut admin = self.admin()?;
        admin.rows(&self.script("roles.sql")?)?;
        admin.rows(&format!("DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)"))?;
        admin.rows(&format!("CREATE DATABASE {TEMPLATE}"))?;
        let mut session = Session::connect_again(&self.dsn, TEMPLATE, None)?;
        session.rows(&self.script("fixture.sql")?).context("fixture.sql")?;
        session.rows(&self.script("probe.sql")?).context("probe.sql")?;
        session.rows("VACUUM ANALYZE")?;
        Ok(())
    }

    /// A new copy of the fixture; `old` is dropped.
    pub fn copy(&mut self, old: Option<String>) -> Result<String> {
        let mut admin = self.admin()?;
        if let Some(old) = old {
            admin.rows(&format!("DROP DATABASE IF EXISTS {old} WITH (FORCE)"))?;
        }
        self.copies += 1;
        let name = format!("hostile_{}", self.copies);
        admin.rows(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        admin.rows(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))?;
        Ok(name)
    }

    pub fn drop(&self, name: &str) -> Result<()> {
        self.admin()?.rows(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        Ok(())
    }
}

/// What a database is like.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Picture {
    pub state: String,
    /// by class and id of the object, and what whom it allows; the object's name, which may change
    rights: BTreeMap<[String; 3], String>,
}

const STATE: &str = "SELECT md5(string_agg(line, ',' ORDER BY line COLLATE \"C\")) FROM hostile.state";
const CONTENTS: &str = "SELECT (SELECT sum(hashtext(t::text)) FROM app.item t), (SELECT sum(hashtext(t::text)) FROM app.grp t), \
    (SELECT sum(hashtext(t::text)) FROM app.part t), (SELECT sum(hashtext(t::text)) FROM app.bait t), (SELECT sum(hashtext(t::text)) FROM low.mine t)";
const OURS: &str =
    "SELECT (SELECT sum(hashtext(t::text)) FROM tviews.source t), (SELECT sum(hashtext(t::text)) FROM tviews.stage t)";

pub fn picture(session: &mut Session) -> Result<Picture> {
    let mut rights = BTreeMap::new();
    for row in session.rows("SELECT kind, id, what, name FROM hostile.rights")? {
        let [kind, id, what, name] = <[String; 4]>::try_from(row).map_err(|_| anyhow!("four columns are expected"))?;
        rights.insert([kind, id, what], name);
    }
    let mut state = String::new();
    for sql in [STATE, CONTENTS, OURS] {
        match session.send(sql) {
            Answer::Rows(rows) => state += &rows.concat().join(" "),
            // a table is gone
            Answer::Error(e) => state += &e.state,
            Answer::Lost(why) => bail!("connection lost: {why}"),
        }
    }
    Ok(Picture { state, rights })
}

/// The lines of the state, to say what differs.
pub fn lines(session: &mut Session) -> BTreeSet<String> {
    match session.send("SELECT line FROM hostile.state") {
        Answer::Rows(rows) => rows.into_iter().flatten().collect(),
        _ => BTreeSet::new(),
    }
}

/// Rights that somebody has now and had not. What an actor makes is hers; a grant on it is not.
pub fn gained(before: &Picture, after: &Picture) -> Vec<String> {
    let known: BTreeSet<[&str; 2]> = before.rights.keys().map(|[kind, id, _]| [kind.as_str(), id.as_str()]).collect();
    let new = after.rights.iter().filter(|(key, _)| !before.rights.contains_key(*key));
    let of_others =
        new.filter(|([kind, id, what], _)| !what.ends_with(" owns") || known.contains(&[kind.as_str(), id.as_str()]));
    of_others.map(|([kind, _, what], name)| format!("{what} {kind} {name}")).collect()
}
