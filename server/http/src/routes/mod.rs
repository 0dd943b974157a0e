//! Routes of no API in particular, one file per resource.

pub(crate) mod models;
pub(crate) mod requests;
pub(crate) mod status;
pub(crate) mod tokens;
