//! What a crash emptied is computed again without waiting for a reader. README.md has the picture.

pub mod launcher;
pub mod progress;
mod worker;
