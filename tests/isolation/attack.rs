//! Everything that the description has, asked by everybody else about what the first organization
//! has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::document::{Asked, Names, Operation, operations};
use crate::marks::marks;
use crate::other::{Other, bare};
use crate::sample::Sampler;
use crate::tenant::{Ids, PASSWORD};
use crate::unnamed;
use crate::world::{World, nobody};

/// A server of this time has more.
const MIN_OPERATIONS: usize = 120;
/// Letters of an answer that are shown.
const MAX_SHOWN: usize = 400;

/// All of it, on one database.
pub(crate) fn run(url: Option<String>) {
    let world = World::new(url);
    let document = world.site.json(&nobody(), "GET", "/openapi.json", &Value::Null);
    let all = operations(&document);
    assert!(all.len() > MIN_OPERATIONS, "only {} operations", all.len());
    let mut attack = Attack { world: &world, document: &document, all, for_keys: BTreeSet::new() };
    let before = attack.reads();
    let telling = marks(world.a.told.iter().chain(before.values()), &world.a);
    let mut wrong = Vec::new();
    for other in others(&world, &telling) {
        attack.by(other, &mut wrong);
    }
    unnamed::foreign_ids(&world, &telling, &mut wrong);
    unnamed::lists_have_their_own(&world);
    // First: what was let in may have removed what is read below.
    none_is(&wrong);
    let after = attack.reads();
    for (uri, value) in &before {
        if after.get(uri) != Some(value) {
            wrong.push(format!("{uri} was {value} and is {:?}", after.get(uri)));
        }
    }
    none_is(&wrong);
    unnamed::nothing_is_remembered_for_others(&world);
    let refused = attack.by_whose_it_is();
    assert!(refused.is_empty(), "whose it is may not:\n{}", refused.join("\n"));
}

fn none_is(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

pub(crate) struct Attack<'a> {
    pub(crate) world: &'a World,
    pub(crate) document: &'a Value,
    pub(crate) all: Vec<Operation>,
    /// The operations that keys of projects are let in to.
    for_keys: BTreeSet<(String, String)>,
}

/// Who is not to know of what the first organization has, and by what it is seen that they do.
fn others<'a>(world: &'a World, telling: &BTreeSet<String>) -> Vec<Other<'a>> {
    let World { a, b, stranger, .. } = world;
    let named = b.session.clone().with("OpenAI-Organization", a.ids.of("organization"));
    let callers = [&nobody(), &b.key, &b.admin, &b.person, &named];
    let mut all: Vec<Other<'_>> =
        callers.map(|it| Other::new(it, &b.ids, telling.clone())).into_iter().collect();
    // They see what they are a member of, and who made their project.
    let mut marks = marks(a.told.iter(), a);
    let known = [a.ids.of("organization"), "alpha inc", a.told[0]["id"].as_str().expect("an id")];
    marks.retain(|mark| !known.contains(&mark.as_str()));
    for caller in [&stranger.person, &stranger.key] {
        all.push(Other::new(caller, &stranger.ids, marks.clone()).within());
    }
    all
}

impl Attack<'_> {
    pub(crate) fn sampler(&self, ids: &Ids, password: &str) -> Sampler<'_> {
        let message = json!({"type": "message", "role": "user", "content": "sampled"});
        let values = [
            ("code", json!("123456")),
            ("email", json!("sampled@example.com")),
            ("items", json!([message])),
            ("messages.role", json!("user")),
            ("model", json!("llama")),
            ("password", json!(password)),
            ("permissions", json!(["usage.read"])),
            ("projects.id", json!(ids.of("project"))),
            ("role", json!("viewer")),
            ("user_id", json!(ids.of("user"))),
        ];
        Sampler { document: self.document, values: BTreeMap::from(values) }
    }

    /// Sends everything as somebody else.
    fn by(&mut self, mut other: Other<'_>, wrong: &mut Vec<String>) {
        let site = &self.world.site;
        // Else nobody could end it.
        let _runs = site.hold(&self.world.a);
        // Who guesses another's password is locked out, who guesses their own deletes themselves.
        let password = if other.is_within { "sampled" } else { PASSWORD };
        let mut for_keys = BTreeSet::new();
        let sampler = self.sampler(other.own, password);
        for operation in &self.all {
            let name = (operation.method.clone(), operation.path.clone());
            let mut requests = operation.requests(&sampler, other.own, &self.world.a.ids);
            // What is used in a project is used in its organization, whose usage is to stay.
            if other.is_within && other.is_key() && self.for_keys.contains(&name) {
                requests.retain(|it| it.names != Names::Nothing || it.method == "GET");
            }
            // Who has no key for it is refused whatever they ask, and so is who names the
            // organization.
            let is_key_missing = other.caller.login.is_some() && self.for_keys.contains(&name);
            if !operation.is_open && (is_key_missing || !other.compares) {
                requests.truncate(1);
            }
            requests.retain(|asked| !other.may_know(asked, &self.world.a.ids));
            for asked in requests {
                let answer = site.ask(&other.caller, &asked);
                let compares =
                    other.compares && asked.names != Names::Nothing && answer.status != 401;
                let of_nobody = compares.then(|| {
                    let asked = asked.of_nobody();
                    bare(&asked, &site.ask(&other.caller, &asked))
                });
                for what in other.wrong(operation, (&asked, &answer), of_nobody) {
                    let Asked { method, uri, body, .. } = &asked;
                    let (who, status, told) = (&other.caller.what, answer.status, &answer.body);
                    let told: String = told.chars().take(MAX_SHOWN).collect();
                    let sent = body.as_ref().map_or("", |(_, body)| body);
                    wrong.push(format!("{method} {uri} {sent} by {who}: {what}: {status} {told}"));
                }
                if other.is_key() && !matches!(answer.status, 401 | 403) {
                    for_keys.insert(name.clone());
                }
                if asked.method != "GET" && answer.status / 100 == 2 {
                    other.caller.renew(site);
                }
            }
        }
        // The first key is a project's.
        if self.for_keys.is_empty() {
            self.for_keys = for_keys;
        }
    }
}
