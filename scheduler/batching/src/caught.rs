//! Catching an engine's panic without its words.
//!
//! A panic's text may quote what was computed (a slice error of `str` quotes the string), so it
//! must reach neither log nor client, and the default hook would print it.
//! Invariant: of a caught panic only its place in the source is kept; all others go to the hook
//! that was set before.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `f`; if it panics, says where (`file:line:column`).
pub(crate) fn run<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let earlier = take_hook();
        set_hook(Box::new(move |info| {
            if !note_place(info) {
                earlier(info);
            }
        }));
    });
    CATCHING.set(true);
    let out = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(false);
    // The payload is dropped unread.
    out.map_err(|_| PLACE.take())
}

/// Keeps the place of a panic that will be caught on this thread; false for any other.
fn note_place(info: &PanicHookInfo<'_>) -> bool {
    if CATCHING.get() {
        PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
    }
    CATCHING.get()
}
