//! What follows a path after its `?`, in the forms that OpenAI's clients write.
//!
//! Invariant: a parameter that nobody reads is passed over; one that is read and makes no sense is
//! a 400 that names it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use server_http::ApiError;
use server_store::PageQuery;

/// As OpenAI's.
const MAX_PAGE: i64 = 100;
const DEFAULT_PAGE: i64 = 20;
/// Entries of a list of ids; a query is of limited length besides.
const MAX_ENTRIES: usize = 100;

/// What follows the `?`.
pub(crate) struct Query(Vec<(String, String)>);

/// Which page of a list is asked for.
pub(crate) struct Paging {
    /// What the store is asked.
    pub(crate) page: PageQuery,
    /// The page is one that ends before something: its rows come in the order opposite to the
    /// list's.
    pub(crate) is_reversed: bool,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Query {
    /// A parameter, if it was given and is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(other, value)| other == name && !value.is_empty());
        pair.map(|(_, value)| value.as_str())
    }

    /// All of a list, which is written as `name`, `name[]` or `name[0]`, once for each.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let is_it = |other: &str| match other.strip_prefix(name) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('[').is_some_and(|rest| {
                let index = rest.strip_suffix(']');
                index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            }),
            None => false,
        };
        let found = self.0.iter().filter(|(other, value)| is_it(other) && !value.is_empty());
        let found: Vec<String> = found.map(|(_, value)| value.clone()).collect();
        if found.len() > MAX_ENTRIES {
            let message =
                format!("'{name}' has {} entries, the limit is {MAX_ENTRIES}.", found.len());
            return Err(ApiError::invalid(Some(name), message));
        }
        Ok(found)
    }

    /// A number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        (min, max): (i64, i64),
    ) -> Result<Option<i64>, ApiError> {
        match self.text(name).map(str::parse) {
            None => Ok(None),
            Some(Ok(number)) if (min..=max).contains(&number) => Ok(Some(number)),
            Some(_) => {
                let message = format!("Invalid value for '{name}': it is {min} to {max}.");
                Err(ApiError::invalid(Some(name), message))
            }
        }
    }

    /// Seconds since 1970.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        // The end of the year 9999.
        self.number(name, (0, 253_402_300_799))
    }

    /// `true` or `false`; false, where it was not given.
    pub(crate) fn is_set(&self, name: &str) -> Result<bool, ApiError> {
        self.one_of(
            name,
            &[
                ("true", true),
                ("True", true),
                ("1", true),
                ("false", false),
                ("False", false),
                ("0", false),
            ],
        )
        .map(Option::unwrap_or_default)
    }

    /// One of some words.
    pub(crate) fn one_of<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        word(name, text, words).map(Some)
    }

    /// Which page of a list is asked for, that begins with the newest or the oldest.
    pub(crate) fn paging(&self, newest_first: bool) -> Result<Paging, ApiError> {
        let limit = self.number("limit", (1, MAX_PAGE))?.unwrap_or(DEFAULT_PAGE);
        let order = self.one_of("order", &[("asc", false), ("desc", true)])?;
        let is_descending = order.unwrap_or(newest_first);
        let (after, before) = (self.text("after"), self.text("before"));
        if after.is_some() && before.is_some() {
            let message = "Give either 'after' or 'before', not both.";
            return Err(ApiError::invalid(Some("before"), message));
        }
        let is_reversed = before.is_some();
        let page = PageQuery {
            after: after.or(before).map(str::to_owned),
            limit: u32::try_from(limit).unwrap_or(1),
            descending: is_descending != is_reversed,
        };
        Ok(Paging { page, is_reversed })
    }
}

/// The value that a word stands for.
pub(crate) fn word<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, ApiError> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        let message = format!("Invalid value for '{name}': it is one of {}.", words.join(", "));
        ApiError::invalid(Some(name), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    #[test]
    fn lists_are_read_in_all_forms_that_clients_write() {
        let query = query("a=1&a[]=2&a%5B0%5D=3&ab=4&a[x]=5&a=");
        assert_eq!(query.texts("a").unwrap(), ["1", "2", "3"]);
        assert_eq!(query.texts("c").unwrap(), Vec::<String>::new());
        let many = "a=1&".repeat(MAX_ENTRIES + 1);
        assert!(super::Query::texts(&self::query(&many), "a").is_err());
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let query = query("limit=0&end=-1&width=2d&order=up&flag=maybe");
        assert!(query.paging(true).is_err() && query.time("end").is_err());
        assert!(query.one_of("width", &[("1d", ())]).is_err() && query.is_set("flag").is_err());
        assert_eq!(query.number("other", (0, 1)).unwrap(), None);
        assert!(self::query("after=a&before=b").paging(true).is_err());
    }

    #[test]
    fn a_page_before_something_is_read_the_other_way() {
        let paging = query("before=b&limit=3").paging(true).unwrap();
        let expected = PageQuery { after: Some("b".to_owned()), limit: 3, descending: false };
        assert_eq!((paging.page, paging.is_reversed), (expected, true));
        assert!(!query("order=asc").paging(true).unwrap().page.descending);
    }
}
