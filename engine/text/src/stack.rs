//! Which threads have the stack that rendering a chat template may take.
//!
//! A thread for each rendering costs more than most renderings do, so a server whose threads are
//! made with the room says so of them. Invariant: nothing is rendered on a thread that nobody
//! vouched for.

use std::cell::Cell;

use crate::limits::TEMPLATE_STACK_BYTES;

/// Stack, in bytes, of a thread that calls [`render_here`]: what a template may take, and as much
/// as threads have by default for what is below it.
pub const ROOMY_STACK_BYTES: usize = TEMPLATE_STACK_BYTES + (2 << 20);

thread_local! {
    static HAS_ROOM: Cell<bool> = const { Cell::new(false) };
}

/// From now on templates are rendered on this thread, which was made with a stack of
/// [`ROOMY_STACK_BYTES`]. With a smaller one a hostile template ends the process.
pub fn render_here() {
    HAS_ROOM.set(true);
}

pub(crate) fn has_room() -> bool {
    HAS_ROOM.get()
}
