//! Lists in OpenAI's shape.

use axum::Json;
use serde::Serialize;
use server_store::Page;
use utoipa::ToSchema;

use crate::query::Paging;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListOf<T> {
    /// Always `list`.
    pub(crate) object: &'static str,
    /// What is on the page.
    pub(crate) data: Vec<T>,
    /// The id of the first; null on an empty page.
    pub(crate) first_id: Option<String>,
    /// The id of the last, which the next page comes after; null on an empty page.
    pub(crate) last_id: Option<String>,
    /// Whether there is another page.
    pub(crate) has_more: bool,
}

/// Something of a list.
pub(crate) trait Listed {
    /// What pages come after.
    fn id(&self) -> &str;
}

impl<T: Listed> ListOf<T> {
    /// A list of which this is all.
    pub(crate) fn whole(data: Vec<T>) -> Json<Self> {
        Self::of(data, false)
    }

    /// The page that was asked for, of what `read` makes of its rows.
    pub(crate) fn page<R>(page: Page<R>, asked: &Paging, read: impl FnMut(R) -> T) -> Json<Self> {
        let mut data: Vec<T> = page.rows.into_iter().map(read).collect();
        if asked.is_reversed {
            data.reverse();
        }
        Self::of(data, page.has_more)
    }

    fn of(data: Vec<T>, has_more: bool) -> Json<Self> {
        let id = |it: Option<&T>| it.map(|it| it.id().to_owned());
        let (first_id, last_id) = (id(data.first()), id(data.last()));
        Json(Self { object: "list", data, first_id, last_id, has_more })
    }
}
