//! State of the process.
//!
//! A process of the server has one thread that runs code of ours, so what belongs to the process needs no thread-local storage, which a library that is
//! loaded later finds through a call for each access. Invariant: nothing of ours runs in another thread; pgrx refuses server calls from one.
//! Called by everyone who keeps state.

use std::cell::{LazyCell, RefCell};
use std::ops::Deref;

/// A value of the process. As `std::thread::LocalKey`, without its thread.
pub struct Process<T>(T);

// SAFETY: one thread, see above.
unsafe impl<T> Sync for Process<T> {}

/// `process! { static NAME: Type = const { value }; static NAME: Type = value that is made when it is wanted; }`
macro_rules! process {
    () => {};
    ($(#[$about:meta])* static $name:ident: $type:ty = const { $value:expr }; $($rest:tt)*) => {
        $(#[$about])*
        static $name: $crate::pg::process::Process<$type> = $crate::pg::process::Process::new($value);
        $crate::pg::process::process! { $($rest)* }
    };
    ($(#[$about:meta])* static $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        $(#[$about])*
        static $name: $crate::pg::process::Process<std::cell::LazyCell<$type>> =
            $crate::pg::process::Process::new(std::cell::LazyCell::new(|| $value));
        $crate::pg::process::process! { $($rest)* }
    };
}
pub(crate) use process;

impl<T> Process<T> {
    pub const fn new(value: T) -> Process<T> {
        Process(value)
    }

    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0)
    }
}

impl<T> Deref for Process<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Process<RefCell<T>> {
    pub fn with_borrow<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0.borrow())
    }

    pub fn with_borrow_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}

impl<T> Process<LazyCell<RefCell<T>>> {
    pub fn with_borrow<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0.borrow())
    }

    pub fn with_borrow_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.borrow_mut())
    }
}
