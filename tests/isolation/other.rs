//! Somebody who is not to know of another's things, and whether an answer to them is right.

use std::collections::BTreeSet;

use crate::document::{Asked, Names, Operation};
use crate::marks::steady;
use crate::support::http::Answer;
use crate::tenant::{Caller, Ids};

pub(crate) struct Other<'a> {
    pub(crate) caller: Caller,
    pub(crate) own: &'a Ids,
    /// Texts that they are not to be told.
    marks: BTreeSet<String>,
    /// Whether they are of the same organization.
    pub(crate) is_within: bool,
    /// Whether their answers are held against those about what nobody has.
    pub(crate) compares: bool,
}

impl<'a> Other<'a> {
    pub(crate) fn new(caller: &Caller, own: &'a Ids, marks: BTreeSet<String>) -> Self {
        // Who names the organization, too, is refused for that.
        let compares = caller.headers.len() == 1;
        Self { caller: caller.clone(), own, marks, is_within: false, compares }
    }

    /// Somebody of the same organization.
    pub(crate) fn within(self) -> Self {
        Self { is_within: true, ..self }
    }

    pub(crate) fn is_key(&self) -> bool {
        self.caller.login.is_none() && !self.caller.headers.is_empty()
    }

    /// Whether a request is about what everybody in the organization may know: its roles, and who
    /// is asked to join a project of one's own.
    pub(crate) fn may_know(&self, asked: &Asked, other: &Ids) -> bool {
        let is_own = asked.uri.contains(self.own.of("project"));
        let is_shared = |id: &String| id == other.of("role") || (is_own && id == other.of("user"));
        self.is_within && !asked.ids.is_empty() && asked.ids.iter().all(is_shared)
    }

    /// What is wrong with an answer, if anything, where the same about what nobody has was answered
    /// so.
    pub(crate) fn wrong(
        &self,
        operation: &Operation,
        (asked, answer): (&Asked, &Answer),
        of_nobody: Option<(u16, String)>,
    ) -> Vec<String> {
        let mut wrong = told(&self.marks, (asked, answer), &self.caller);
        if !operation.is_open && !self.is_fine(asked.names, answer.status) {
            wrong.push("it is let in".to_owned());
        }
        if let Some((status, body)) = of_nobody.filter(|it| *it != bare(asked, answer)) {
            wrong.push(format!("of what nobody has it says {status} {body}"));
        }
        wrong
    }

    /// Whether a status is one for a request that names another's things.
    fn is_fine(&self, names: Names, status: u16) -> bool {
        if self.caller.headers.is_empty() {
            // AWS refuses so who sends no signature.
            return matches!(status, 401 | 403);
        }
        match names {
            Names::Nothing => true,
            Names::InPath => matches!(status, 401 | 403 | 404),
            Names::InQuery => matches!(status, 200 | 400 | 401 | 403 | 404),
            Names::InBody => matches!(status, 400 | 401 | 403 | 404),
        }
    }
}

/// What an answer tells that it should not, and that who asks did not say.
pub(crate) fn told(
    marks: &BTreeSet<String>,
    (asked, answer): (&Asked, &Answer),
    caller: &Caller,
) -> Vec<String> {
    let is_told = |mark: &&String| {
        let is_there = answer.body.contains(*mark) || answer.head.contains(*mark);
        is_there && !asked.says(mark) && !caller.says(mark)
    };
    marks.iter().filter(is_told).map(|mark| format!("it tells {mark}")).collect()
}

/// An answer without what differs between two like it.
pub(crate) fn bare(asked: &Asked, answer: &Answer) -> (u16, String) {
    let mut body = match serde_json::from_str(&answer.body) {
        Ok(told) => steady(told).to_string(),
        Err(_) => answer.body.clone(),
    };
    for id in asked.ids.iter().map(String::as_str).chain(answer.header("x-request-id")) {
        body = body.replace(id, "ID");
    }
    (answer.status, body)
}
