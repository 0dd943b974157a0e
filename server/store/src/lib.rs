//! What clients ask to be kept, in SQL: responses, conversations and chat completions.
//!
//! Invariant: every function takes the tenant, and every statement names it, so no row of another
//! tenant can be read or changed. What expired is not read, whether it was swept or not. A function
//! that returned has its change on disk. Bodies are texts that nothing here looks into.

mod completions;
mod conversation_items;
mod conversations;
mod database;
mod error;
mod limits;
mod page;
mod responses;
mod sweep;
mod usage;

pub use completions::{Completion, CompletionFilter};
pub use conversation_items::Item;
pub use conversations::Conversation;
pub use database::Store;
pub use error::StoreError;
pub use limits::Limits;
pub use page::{Page, PageQuery};
pub use responses::{Kept, Response, UNFINISHED};
