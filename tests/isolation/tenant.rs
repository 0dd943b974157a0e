//! An organization with one of everything that can be made, and who may ask for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::named::Named;
use crate::world::{Site, bearer};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Ids of things, by their kinds.
#[derive(Clone, Default)]
pub(crate) struct Ids(pub(crate) BTreeMap<&'static str, String>);

impl Ids {
    /// What stands for something named.
    pub(crate) fn value(&self, named: Named) -> Option<&str> {
        match named {
            Named::Of(kind) => self.0.get(kind).map(String::as_str),
            Named::Public(id) => Some(id),
        }
    }

    /// The same of who has one of each kind: one that a test forgets to make is one that nobody
    /// asks for.
    pub(crate) fn theirs(&self, named: Named) -> &str {
        self.value(named).unwrap_or_else(|| panic!("make something for {named:?}"))
    }

    pub(crate) fn of(&self, kind: &str) -> &str {
        &self.0[kind]
    }
}

/// Somebody who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) what: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Of a person: their address, and what their login tells that they send.
    pub(crate) login: Option<(String, &'static str)>,
}

impl Caller {
    pub(crate) fn new(what: &str, secret: &str) -> Self {
        Self { what: what.to_owned(), headers: vec![bearer(secret)], login: None }
    }

    /// Somebody who sends what a login tells.
    pub(crate) fn person(site: &Site, email: &str, token: &'static str) -> Self {
        let secret = text(&site.login(email), token);
        let login = Some((email.to_owned(), token));
        Self { login, ..Self::new(&format!("{email}, {token}"), &secret) }
    }

    /// Logs in anew, if it is a person who is logged out by now.
    pub(crate) fn renew(&mut self, site: &Site) {
        let is_out = || site.send(self, "GET", "/api/v1/me", &Value::Null).status == 401;
        if let Some((email, token)) = self.login.clone().filter(|_| is_out()) {
            self.headers[0] = bearer(&text(&site.login(&email), token));
        }
    }

    /// What they are let in by.
    pub(crate) fn secret(&self) -> &str {
        self.headers[0].1.trim_start_matches("Bearer ")
    }

    pub(crate) fn says(&self, text: &str) -> bool {
        self.headers.iter().any(|(_, value)| value.contains(text))
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self.what = format!("{}, {name} {value}", self.what);
        self
    }
}

pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) ids: Ids,
    pub(crate) key: Caller,
    pub(crate) admin: Caller,
    /// An owner with an access token.
    pub(crate) person: Caller,
    /// The same with a session's token.
    pub(crate) session: Caller,
    /// All that was answered when it was made: ids, secrets, names.
    pub(crate) told: Vec<Value>,
}

/// What a project has: its ids, and the secret of its key.
pub(crate) struct Project {
    pub(crate) ids: Ids,
    pub(crate) secret: String,
    pub(crate) told: Vec<Value>,
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// A project with a member, a service account, a key and limits.
pub(crate) fn project(
    site: &Site,
    admin: &Caller,
    name: &str,
    (user, role): (&str, &str),
) -> Project {
    let mut told = Vec::new();
    let mut ids = Ids::default();
    let mut make = |kind: &'static str, path: &str, body: Value| {
        let made = site.json(admin, "POST", path, &body);
        let id = text(&made, "id");
        told.push(made.clone());
        ids.0.insert(kind, id.clone());
        (id, made)
    };
    let of = "/v1/organization/projects";
    let (project, _) = make("project", of, json!({"name": format!("{name} web")}));
    let of = format!("{of}/{project}");
    let body = json!({"name": format!("{name} robot")});
    make("service_account", &format!("{of}/service_accounts"), body);
    let body = json!({"user_id": user, "role": role});
    make("user", &format!("{of}/users"), body);
    let keys = format!("/api/v1/organization/projects/{project}/keys");
    let (key, made) = make("key", &keys, json!({"name": format!("{name} key")}));
    let secret = text(&made, "value");
    let limits = json!({"requests_per_minute": 100_000});
    for path in [keys.replace("keys", "limits"), format!("{keys}/{key}/limits")] {
        site.json(admin, "PUT", &path, &limits);
    }
    Project { ids, secret, told }
}

impl Tenant {
    /// An organization whose names all begin with `name`.
    pub(crate) fn new(site: &Site, name: &'static str) -> Self {
        let organization = format!("{name}-org");
        site.command(&["org", "create", &format!("{name} inc"), "--id", &organization]);
        let of = ["--org", organization.as_str(), "--json"];
        let named = format!("{name} first admin");
        let made = site.made(&[&["key", "create", "--admin", "--name", &named], &of[..]].concat());
        let admin = Caller::new(&format!("{name}'s admin key"), &text(&made, "secret"));
        let mut told = vec![made];
        let [owner, developer] = ["owner", "developer"].map(|role| {
            let made = site.user(&format!("{name}.{role}@example.com"), role, &organization);
            let id = text(&made, "id");
            told.push(made);
            id
        });
        let made = project(site, &admin, name, (&developer, "member"));
        told.extend(made.told);
        let mut ids = made.ids;
        ids.0.extend([("organization", organization.clone()), ("owner", owner)]);
        ids.0.extend([("tag", format!("{name}-tag")), ("request", format!("{name}-runs"))]);
        let key = Caller::new(&format!("{name}'s key"), &made.secret);
        let email = format!("{name}.owner@example.com");
        let session = Caller::person(site, &email, "session_token");
        let person = Caller::person(site, &email, "access_token");
        // Not the one that asks, so that it can end.
        let other = site.login(&email);
        ids.0.insert("session", text(&other, "session_id"));
        told.push(other);
        let mut tenant = Self { name, ids, key, admin, person, session, told };
        tenant.organize(site);
        let key = tenant.key.clone().with("X-Agentbase-Tag", tenant.ids.of("tag"));
        let kept = keep(site, &key, name, &mut tenant.ids);
        tenant.told.extend(kept);
        await_usage(site, &tenant.admin, 2);
        tenant
    }

    fn make(&mut self, site: &Site, caller: &Caller, path: &str, body: &Value) -> Value {
        let made = site.json(caller, "POST", path, body);
        self.told.push(made.clone());
        made
    }

    /// What administers it.
    fn organize(&mut self, site: &Site) {
        let (name, admin) = (self.name, self.admin.clone());
        let made = json!({"name": format!("{name}-clerk"), "permissions": ["usage.read"]});
        let role = self.make(site, &admin, "/api/v1/organization/roles", &made);
        let made = json!({"email": format!("{name}.guest@example.com"), "role": "reader"});
        let invite = self.make(site, &admin, "/v1/organization/invites", &made);
        let made = json!({"name": format!("{name} second admin")});
        let key = self.make(site, &admin, "/v1/organization/admin_api_keys", &made);
        let of = self.ids.of("project");
        let path = format!("/api/v1/organization/projects/{of}/provisions");
        let held = self.make(site, &admin, &path, &json!({"model": "llama", "units": 1}));
        let made = json!({"url": format!("https://{name}.example.com/events")});
        let hook = self.make(site, &admin, "/api/v1/organization/webhooks", &made);
        let made = json!({"addresses": [format!("{name}.alerts@example.com")]});
        let alert = self.make(site, &admin, "/api/v1/organization/alerts", &made);
        let made = [("role", role), ("invite", invite), ("admin_key", key), ("provision", held)];
        for (kind, made) in made.into_iter().chain([("webhook", hook), ("alert", alert)]) {
            self.ids.0.insert(kind, text(&made, "id"));
        }
    }

    /// What only the operator makes.
    pub(crate) fn operate(&self, site: &Site) {
        let name = self.name;
        let (hook, mail) =
            (format!("https://{name}.example.com/hook"), format!("{name}@example.com"));
        let commands: [&[&str]; 3] = [
            &["price", "set", "llama", "--input", "1", "--output", "2"],
            &["webhook", "create", &hook],
            &["alert", "create", "--mail", &mail],
        ];
        for command in commands {
            site.command(&[command, &["--org", self.ids.of("organization")]].concat());
        }
    }
}

/// What a project's clients ask to be kept.
pub(crate) fn keep(site: &Site, key: &Caller, name: &str, ids: &mut Ids) -> Vec<Value> {
    let mut told = Vec::new();
    let mut make = |path: &str, body: &Value| {
        let made = site.json(key, "POST", path, body);
        told.push(made.clone());
        made
    };
    let said = format!("{name} says hello");
    let metadata = json!({"of": format!("{name} metadata")});
    let message = json!({"type": "message", "role": "user", "content": said});
    let made = json!({"items": [message], "metadata": metadata});
    let conversation = text(&make("/v1/conversations", &made), "id");
    let mut made = json!({"model": "llama", "input": said, "max_output_tokens": 4});
    // Only what is in the background can be followed and cancelled.
    (made["background"], made["stream"]) = (json!(true), json!(false));
    made["metadata"] = metadata.clone();
    let response = text(&make("/v1/responses", &made), "id");
    let path = format!("/v1/responses/{response}");
    let is_over = |it: &Value| it["status"] != "queued" && it["status"] != "in_progress";
    site.until(|| is_over(&site.json(key, "GET", &path, &Value::Null)));
    let mut made = json!({"model": "llama", "max_tokens": 4, "store": true});
    made["messages"] = json!([{"role": "user", "content": said}]);
    made["metadata"] = metadata;
    let completion = text(&make("/v1/chat/completions", &made), "id");
    let path = format!("/v1/conversations/{conversation}/items");
    let items = site.json(key, "GET", &path, &Value::Null);
    ids.0.insert("item", text(&items["data"][0], "id"));
    told.push(items);
    ids.0.extend([("conversation", conversation), ("response", response)]);
    ids.0.insert("completion", completion);
    told
}

/// What was used is in the ledger within a second: so many requests of an organization.
pub(crate) fn await_usage(site: &Site, admin: &Caller, num: u64) {
    site.until(|| {
        let path = "/api/v1/organization/usage?start_time=1";
        site.json(admin, "GET", path, &Value::Null)["requests"] == num
    });
}
