//! Connections to servers, and their errors as sentences.
//!
//! Invariant: what a connection string leaves out comes from libpq's variables, as psql has it; nothing is changed on a server by connecting.
//! Called by the commands that take --dsn.

use anyhow::{Context, Result, anyhow, bail};
use postgres::{Client, Config, NoTls, config::Host};

/// A connection to any database.
pub fn connect(dsn: &str) -> Result<Client> {
    open(&config(dsn)?)
}

fn open(config: &Config) -> Result<Client> {
    let mut client = config.connect(NoTls).map_err(|e| {
        let place = place(config);
        if e.to_string().contains("TLS") {
            anyhow!(
                "{place} wants TLS, which this command does not speak: connect through a socket, a tunnel or a proxy"
            )
        } else {
            sentence(e).context(format!("there is no connection to {place}"))
        }
    })?;
    client.batch_execute("SET application_name = 'tviews'").map_err(sentence)?;
    Ok(client)
}

/// A connection to another database of the same server.
pub fn connect_beside(dsn: &str, database: &str) -> Result<Client> {
    let mut config = config(dsn)?;
    config.dbname(database);
    open(&config)
}

/// A connection to a database that has the extension.
pub fn connect_extension(dsn: &str) -> Result<Client> {
    let client = connect(dsn)?;
    with_extension(client)
}

/// The same, when the database has the extension.
pub fn with_extension(mut client: Client) -> Result<Client> {
    let row = client
        .query_one("SELECT current_database(), EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_tviews')", &[])
        .map_err(sentence)?;
    if !row.get::<_, bool>(1) {
        let database: String = row.get(0);
        bail!("the database {database} does not have the extension: CREATE EXTENSION pg_tviews");
    }
    Ok(client)
}

fn config(dsn: &str) -> Result<Config> {
    let mut config: Config =
        dsn.parse().with_context(|| "the connection string cannot be read: it is host=… dbname=… or postgresql://…")?;
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    if config.get_hosts().is_empty() {
        config.host(variable("PGHOST").as_deref().unwrap_or("/var/run/postgresql"));
    }
    if config.get_ports().is_empty()
        && let Some(port) = variable("PGPORT").and_then(|p| p.parse().ok())
    {
        config.port(port);
    }
    if config.get_user().is_none()
        && let Some(user) = variable("PGUSER").or_else(|| variable("USER"))
    {
        config.user(&user);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_dbname().is_none()
        && let Some(name) = variable("PGDATABASE")
    {
        config.dbname(&name);
    }
    Ok(config)
}

fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "the server".into(),
    };
    match config.get_dbname() {
        Some(name) => format!("the database {name} at {host}"),
        None => format!("the server at {host}"),
    }
}

/// An error of the server: its message, and what it adds.
pub fn sentence(error: postgres::Error) -> anyhow::Error {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        return anyhow!(cause.unwrap_or_else(|| error.to_string()));
    };
    let mut text = said.message().to_string();
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text.push('\n');
        text.push_str(more);
    }
    anyhow!(text)
}
