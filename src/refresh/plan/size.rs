//! How much a flush has to do.

/// How much a flush has to do. Each size has plans of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Size {
    /// A few rows: index paths, whatever the statistics of the moment say.
    pub const FEW: Size = Size(0);
    /// The query itself.
    pub const WHOLE: Size = Size(SIZES - 1);

    pub fn of(rows: usize) -> Size {
        if rows <= 16 { Size::FEW } else { Size::many(rows) }
    }

    /// Any path: plans for this number of rows, to a factor of four.
    pub fn many(rows: usize) -> Size {
        let magnitude = (rows.max(1).ilog2() / 2) as usize;
        Size(1 + magnitude.min(SIZES - 3))
    }

    /// Plans that look rows up by index, for a number of rows like this.
    pub fn by_index(self) -> Size {
        Size(SIZES + self.0)
    }

    pub fn is_few(self) -> bool {
        self == Size::FEW
    }
}

pub const SIZES: usize = 14;
