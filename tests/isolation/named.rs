//! What parameters and fields of the description name.
//!
//! Invariant: what is like an id and is not in a table here fails the test, so that whoever adds
//! one says whose it is.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Something of a tenant, of this kind.
    Of(&'static str),
    /// Something that everybody knows.
    Public(&'static str),
}

use Named::{Of, Public};

/// What an id in a path names, by what stands before it.
const IN_PATH: &[(&str, Named)] = &[
    ("admin_api_keys", Of("admin_key")),
    ("alerts", Of("alert")),
    ("api_keys", Of("key")),
    ("completions", Of("completion")),
    ("conversations", Of("conversation")),
    ("foundation-models", Public("llama")),
    ("invites", Of("invite")),
    ("items", Of("item")),
    ("keys", Of("key")),
    ("model", Public("llama")),
    ("models", Public("llama")),
    ("oidc", Public("github")),
    ("projects", Of("project")),
    ("provisions", Of("provision")),
    ("rate_limits", Public("rl-all")),
    ("requests", Of("request")),
    ("responses", Of("response")),
    ("roles", Of("role")),
    ("service_accounts", Of("service_account")),
    ("sessions", Of("session")),
    ("users", Of("user")),
    ("webhooks", Of("webhook")),
];

/// The same of parameters of a query.
const IN_QUERY: &[(&str, Named)] = &[
    ("actor_ids[]", Of("owner")),
    ("api_key_ids[]", Of("key")),
    ("invitation", Of("invite")),
    ("project_ids[]", Of("project")),
    ("resource_ids[]", Of("project")),
    ("tags[]", Of("tag")),
    ("user_ids[]", Of("user")),
];

/// The same of fields of a body, by their name or that with what they are in.
const IN_BODY: &[(&str, Named)] = &[
    ("conversation.id", Of("conversation")),
    ("invitation", Of("invite")),
    ("key_id", Of("key")),
    ("organization", Of("organization")),
    ("previous_response_id", Of("response")),
    ("project_id", Of("project")),
    ("projects.id", Of("project")),
    ("projects.role", Of("role")),
    ("role", Of("role")),
    ("service_account_id", Of("service_account")),
    ("token", Of("invite")),
    ("user_id", Of("user")),
];

/// Fields that are like ids and name nothing that is kept here.
const OF_NOTHING: &[&str] = &[
    // Calls of tools and whoever speaks, within one conversation.
    "content.id",
    "messages.role",
    "system.id",
    "toolUseId",
    "tool_call_id",
    "tool_use_id",
    // Taken, and not used.
    "prompt_cache_key",
    "safety_identifier",
    "user",
    // Of the tokenizer's vocabulary.
    "return_tokens_as_token_ids",
    "stop_token_ids",
    // What is in it is.
    "conversation",
];

/// Whether a name is like that of an id.
pub(crate) fn is_like_an_id(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "actor",
        "after",
        "before",
        "conversation",
        "id",
        "invitation",
        "item",
        "key",
        "member",
        "organization",
        "owner",
        "project",
        "response",
        "role",
        "service_account",
        "tags",
        "token",
        "user",
    ];
    const ENDS: &[&str] = &["_id", "_ids", "_key", "_keys", "Id", "Ids", "dentifier"];
    let name = name.trim_end_matches("[]");
    NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

fn find(table: &[(&str, Named)], name: &str) -> Option<Named> {
    table.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

/// What the id after a segment of a path names.
pub(crate) fn in_path(segment: &str, path: &str) -> Named {
    find(IN_PATH, segment).unwrap_or_else(|| panic!("say what the id after {segment} in {path} is"))
}

/// What a parameter of a query names; where a page begins, a thing of the list.
pub(crate) fn in_query(name: &str, path: &str) -> Named {
    if matches!(name, "after" | "before") {
        let list = path.rsplit('/').next().unwrap_or_default();
        return find(IN_PATH, list).unwrap_or(Of("project"));
    }
    find(IN_QUERY, name).unwrap_or_else(|| panic!("say what {name} of {path} names"))
}

/// What a field of a body names, if anything.
pub(crate) fn in_body(way: &[String], path: &str) -> Option<Named> {
    let name = way.last().expect("a name").as_str();
    let within = way.iter().rev().nth(1).map(|outer| format!("{outer}.{name}"));
    let names: Vec<&str> = within.as_deref().into_iter().chain([name]).collect();
    if names.iter().any(|name| OF_NOTHING.contains(name)) {
        return None;
    }
    let found = names.iter().find_map(|name| find(IN_BODY, name));
    Some(found.unwrap_or_else(|| panic!("say what {} of {path} names", way.join("."))))
}

/// Parameters for one that a query needs.
pub(crate) fn needed(name: &str) -> String {
    /// Of some days around this one: what is read twice is the same.
    static TIMES: LazyLock<String> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let day = now.as_secs() / 86_400;
        format!("start_time={}&end_time={}", (day - 1) * 86_400, (day + 2) * 86_400)
    });
    match name {
        "start_time" => TIMES.clone(),
        _ => panic!("say what {name} may be"),
    }
}

/// An id that nobody has, in the form of one that somebody has.
pub(crate) fn nobodys(id: &str) -> String {
    let turned: String = id.chars().rev().take(6).collect();
    let (start, _) = id.split_at(id.len() - turned.len());
    let turn = |it: char| match it {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(it as u8 + 1),
        other => other,
    };
    start.chars().chain(turned.chars().map(turn)).collect()
}
