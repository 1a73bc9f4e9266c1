//! Who sends a statement. Invariant: `fixture/roles.sql` makes all of them but the superuser. Called by `run` and `wrap`.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    Super,
    /// owns the tables and TVIEWs of the fixture
    Owner,
    /// may read one table and one TVIEW, and has a schema of her own
    Low,
}

impl Actor {
    pub const ALL: [Actor; 3] = [Actor::Super, Actor::Owner, Actor::Low];

    pub fn name(self) -> &'static str {
        match self {
            Actor::Super => "super",
            Actor::Owner => "owner",
            Actor::Low => "low",
        }
    }

    /// Her role; None for the role of the connection string.
    pub fn role(self) -> Option<&'static str> {
        match self {
            Actor::Super => None,
            Actor::Owner => Some("hostile_owner"),
            Actor::Low => Some("hostile_low"),
        }
    }

    /// Her TVIEW that calls a function which does what a setting says.
    pub fn calling(self) -> &'static str {
        match self {
            Actor::Super => "hostile.calls_super",
            Actor::Owner => "app.calls",
            Actor::Low => "low.calls_low",
        }
    }
}
