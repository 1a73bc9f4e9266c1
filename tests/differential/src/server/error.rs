//! What errors of the server say.
//! Invariant: an error that is not the server's own is `closed`: the connection is gone. Called by `run` and `concurrent`.

/// Its SQLSTATE.
pub fn state(e: &postgres::Error) -> String {
    e.as_db_error().map(|d| d.code().code().to_string()).unwrap_or_else(|| "closed".into())
}

/// With its detail, hint and context.
pub fn describe(e: &postgres::Error) -> String {
    match e.as_db_error() {
        Some(d) => {
            let mut text = format!("{}: {}", d.code().code(), d.message());
            for (label, part) in [("detail", d.detail()), ("hint", d.hint()), ("context", d.where_())] {
                if let Some(part) = part {
                    text += &format!("\n{label}: {part}");
                }
            }
            text
        }
        None => e.to_string(),
    }
}

/// Whether it came in a flush.
pub fn in_flush(e: &postgres::Error) -> bool {
    e.as_db_error().and_then(|d| d.where_()).is_some_and(|w| w.contains("flush of TVIEW"))
}
