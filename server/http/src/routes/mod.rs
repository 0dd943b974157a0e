//! One file per resource; each handler maps the wire to the pipeline and back.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod messages;
pub(crate) mod models;
pub(crate) mod requests;
pub(crate) mod status;
pub(crate) mod tokens;
