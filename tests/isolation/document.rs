//! The operations of the served description, and requests made from them.
//!
//! Invariant: no operation is left out, and no parameter that names something is passed over: one
//! that [`named`](crate::named) does not know fails the test.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::named::{self, Named};
use crate::sample::{Sampler, schemas_of};
use crate::tenant::Ids;

/// A route and a method.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether it needs no key.
    pub(crate) is_open: bool,
    /// The places of ids in its path, and what they name.
    places: Vec<(String, Named)>,
    /// Parameters of the query that name something.
    query: Vec<(String, Named)>,
    /// What the query needs beside them.
    needed: Vec<String>,
    /// Parameters that are true or false.
    flags: Vec<String>,
    body: Option<(String, Value)>,
    /// Fields of the body that name something, each as the way to it.
    fields: Vec<(Vec<String>, Named)>,
}

/// A request, and what of another's it names.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    /// The media type, and the body.
    pub(crate) body: Option<(String, String)>,
    pub(crate) names: Names,
    /// The ids of another that it names.
    pub(crate) ids: Vec<String>,
}

/// Where a request names something of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Nothing,
    InPath,
    InQuery,
    InBody,
}

/// All operations of a description.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, described) in methods.as_object().expect("methods") {
            all.push(operation(document, (path, method), described));
        }
    }
    all
}

fn operation(document: &Value, (path, method): (&str, &str), described: &Value) -> Operation {
    let mut places = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for pair in segments.windows(2) {
        if pair[1].starts_with('{') {
            places.push((pair[1].to_owned(), named::in_path(pair[0], path)));
        }
    }
    let (mut query, mut needed, mut flags) = (Vec::new(), Vec::new(), Vec::new());
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        match parameter["in"].as_str() {
            Some("query") if named::is_like_an_id(name) => {
                query.push((name.to_owned(), named::in_query(name, path)));
            }
            Some("query") if parameter["required"] == true => needed.push(name.to_owned()),
            Some("query") if is_flag(&parameter["schema"]["type"]) => flags.push(name.to_owned()),
            _ => {}
        }
    }
    let content = described["requestBody"]["content"].as_object();
    let content = content.and_then(|all| all.iter().next());
    let body = content.map(|(media, it)| (media.clone(), it["schema"].clone()));
    let mut fields = Vec::new();
    if let Some((_, schema)) = &body {
        find_fields(document, schema, &[], &mut fields);
    }
    let mut known = BTreeSet::new();
    fields.retain(|way: &Vec<String>| known.insert(way.clone()));
    let fields = fields.into_iter().filter_map(|way| {
        let what = named::in_body(&way, path)?;
        Some((way, what))
    });
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        is_open: described["security"] == serde_json::json!([{}]),
        places,
        query,
        needed,
        flags,
        fields: fields.collect(),
        body,
    }
}

fn is_flag(kind: &Value) -> bool {
    kind == "boolean" || kind.as_array().is_some_and(|all| all.contains(&"boolean".into()))
}

/// The ways to all fields whose names are like those of ids.
fn find_fields(document: &Value, schema: &Value, way: &[String], found: &mut Vec<Vec<String>>) {
    for schema in schemas_of(document, schema) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let way = [way, std::slice::from_ref(name)].concat();
            // Schemas that have themselves in them, as those of tools have, name nothing below.
            if way.len() > 6 {
                continue;
            }
            if named::is_like_an_id(name) {
                found.push(way.clone());
            }
            find_fields(document, inner, &way, found);
        }
        if schema["items"].is_object() {
            find_fields(document, &schema["items"], way, found);
        }
    }
}

impl Operation {
    /// Whether its path names something of a tenant.
    pub(crate) fn has_ids(&self) -> bool {
        self.places.iter().any(|(_, what)| matches!(what, Named::Of(_)))
    }

    /// Every request of it by one tenant that names something of another: in each place of the
    /// path, in all of them, in each parameter and in each field. And one that names nothing, where
    /// that changes nothing that was there. Each also with what can be true.
    pub(crate) fn requests(&self, sampler: &Sampler<'_>, own: &Ids, other: &Ids) -> Vec<Asked> {
        let mut requests = self.plain(sampler, own, other);
        for name in &self.flags {
            for mut asked in self.plain(sampler, own, other) {
                asked.uri = with(&asked.uri, name, "true");
                requests.push(asked);
            }
        }
        requests
    }

    fn plain(&self, sampler: &Sampler<'_>, own: &Ids, other: &Ids) -> Vec<Asked> {
        let ids: Vec<_> = self.places.iter().filter(|(_, it)| matches!(it, Named::Of(_))).collect();
        let mut requests = Vec::new();
        for mask in 1..1_u32 << ids.len() {
            if let Some(place) = self.uri(mask, own, other) {
                requests.push(self.asked(place, Names::InPath, sampler.body(&self.body, None)));
            }
        }
        let Some((uri, _)) = self.uri(0, own, other) else { return requests };
        if ids.is_empty() || self.method == "GET" {
            let body = sampler.body(&self.body, None);
            requests.push(self.asked((uri.clone(), Vec::new()), Names::Nothing, body));
        }
        for (name, what) in &self.query {
            let id = other.theirs(*what);
            let body = sampler.body(&self.body, None);
            let place = (with(&uri, name, id), vec![id.to_owned()]);
            requests.push(self.asked(place, Names::InQuery, body));
        }
        for (way, what) in &self.fields {
            let id = other.theirs(*what);
            let body = sampler.body(&self.body, Some((way, id)));
            requests.push(self.asked((uri.clone(), vec![id.to_owned()]), Names::InBody, body));
        }
        requests
    }

    /// The request of it by somebody about what is theirs.
    pub(crate) fn own(&self, sampler: &Sampler<'_>, own: &Ids) -> Option<Asked> {
        let place = self.uri(0, own, own)?;
        Some(self.asked(place, Names::Nothing, sampler.body(&self.body, None)))
    }

    /// The path, with another's id in those places whose bits are set, and what the query needs;
    /// `None` if somebody has nothing of the kind.
    fn uri(&self, mask: u32, own: &Ids, other: &Ids) -> Option<(String, Vec<String>)> {
        let (mut uri, mut place, mut ids) = (self.path.clone(), 0, Vec::new());
        for (name, what) in &self.places {
            let id = match what {
                Named::Of(_) => {
                    let is_others = mask >> place & 1 == 1;
                    place += 1;
                    if is_others {
                        ids.push(other.theirs(*what).to_owned());
                        other.theirs(*what)
                    } else {
                        own.value(*what)?
                    }
                }
                Named::Public(id) => id,
            };
            uri = uri.replacen(name, id, 1);
        }
        let query: Vec<String> = self.needed.iter().map(|name| named::needed(name)).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        Some((format!("{uri}{mark}{}", query.join("&")), ids))
    }

    fn asked(
        &self,
        (uri, ids): (String, Vec<String>),
        names: Names,
        body: Option<(String, String)>,
    ) -> Asked {
        Asked { method: self.method.clone(), uri, body, names, ids }
    }
}

fn with(uri: &str, name: &str, value: &str) -> String {
    format!("{uri}{}{name}={value}", if uri.contains('?') { '&' } else { '?' })
}

impl Asked {
    /// One that names nothing of another.
    pub(crate) fn plain(method: &str, uri: &str, body: Option<(String, String)>) -> Self {
        let (method, uri) = (method.to_owned(), uri.to_owned());
        Self { method, uri, body, names: Names::Nothing, ids: Vec::new() }
    }

    /// The same with ids that nobody has.
    pub(crate) fn of_nobody(&self) -> Self {
        let mut asked = self.clone();
        for id in &mut asked.ids {
            let nobodys = named::nobodys(id);
            asked.uri = asked.uri.replace(&*id, &nobodys);
            if let Some((_, body)) = &mut asked.body {
                *body = body.replace(&*id, &nobodys);
            }
            *id = nobodys;
        }
        asked
    }

    /// Whether it says a text itself.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.uri.contains(text) || self.body.as_ref().is_some_and(|(_, body)| body.contains(text))
    }
}
