//! That the first organization may all that others may not: what they were refused is real, and
//! the requests are well made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::attack::Attack;
use crate::document::{Asked, Names, Operation};
use crate::marks::steady;
use crate::support::http::Answer;
use crate::tenant::{Caller, PASSWORD};

/// Refusals of what was sampled, whose ids are found.
const OF_A_SAMPLE: &[&str] = &[
    // They are in the project.
    "already_exists",
    // They had it given to them a moment before.
    "in_use",
    // The id of an invitation is not its secret.
    "invalid_token",
];

impl Attack<'_> {
    /// All that can be read of what the first organization has.
    pub(crate) fn reads(&self) -> BTreeMap<String, Value> {
        let mut reads = BTreeMap::new();
        let ids = &self.world.a.ids;
        let sampler = self.sampler(ids, PASSWORD);
        for operation in self.all.iter().filter(|it| it.method == "GET" && !it.is_open) {
            let asked = operation.own(&sampler, ids).expect("it has one");
            let answer = self.ask_as_whoever_may(&asked);
            let Answer { status, body, .. } = &answer;
            assert!(*status == 200 || !operation.has_ids(), "{}: {status} {body}", asked.uri);
            if *status == 200 {
                let told = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
                reads.insert(asked.uri, steady(told));
            }
        }
        reads
    }

    /// Asks by the first of the organization's keys and people that is let in.
    fn ask_as_whoever_may(&self, asked: &Asked) -> Answer {
        let a = &self.world.a;
        let ask = |caller: &Caller| self.world.site.ask(caller, asked);
        let answers = [&a.key, &a.admin, &a.person, &a.session].into_iter().map(ask);
        let mut allowed = answers.filter(|answer| !matches!(answer.status, 401 | 403));
        allowed.next().unwrap_or_else(|| panic!("nobody may {} {}", asked.method, asked.uri))
    }

    /// Sends what others were refused as whose it is, and tells what is refused to them, too.
    pub(crate) fn by_whose_it_is(&self) -> Vec<String> {
        let a = &self.world.a;
        let sampler = self.sampler(&a.ids, PASSWORD);
        let mut all: Vec<&Operation> = self.all.iter().filter(|it| !it.is_open).collect();
        all.sort_by_key(|operation| rank(operation));
        let (mut refused, mut gone) = (Vec::new(), BTreeSet::new());
        for operation in all {
            let mut sent = BTreeSet::new();
            for asked in operation.requests(&sampler, &a.ids, &a.ids) {
                let is_new = sent.insert((asked.uri.clone(), asked.body.clone()));
                let is_gone = asked.ids.iter().any(|id| gone.contains(id));
                // The list of something else begins nowhere with it.
                let is_page = asked.uri.contains("after=") || asked.uri.contains("before=");
                if asked.names == Names::Nothing || !is_new || is_gone || is_page {
                    continue;
                }
                let names_request = asked.ids.iter().any(|id| id == a.ids.of("request"));
                let _runs = names_request.then(|| self.world.site.hold(a));
                let answer = self.ask_as_whoever_may(&asked);
                let Answer { status, body, .. } = &answer;
                let is_of_sample = OF_A_SAMPLE.iter().any(|code| body.contains(code));
                if status / 100 != 2 && !is_of_sample {
                    let Asked { method, uri, body: sent, .. } = &asked;
                    refused.push(format!("{method} {uri} {sent:?}: {status} {body}"));
                }
                if operation.method == "DELETE" {
                    gone.extend(asked.ids.last().cloned());
                }
            }
        }
        refused
    }
}

/// What comes when: nothing that is needed ends before.
fn rank(operation: &Operation) -> impl Ord + use<> {
    let is_end = operation.method == "DELETE" || operation.path.ends_with("/archive");
    let is_change = operation.method != "GET";
    // Keys are of the organization.
    let is_of_organization = operation.path.contains("/organization/");
    let depth = operation.path.matches('/').count();
    (is_end, is_change, is_of_organization, std::cmp::Reverse(depth))
}
