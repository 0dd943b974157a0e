//! People, from the letter that invites them to what their role lets them do: the real binary.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::binary::{Server, import, succeed};
use support::http::post;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";
const PROJECTS: &str = "/v1/organization/projects";

/// The token in the only letter there is; what is encoded for mail is put together again.
fn invitation(data_dir: &Path) -> String {
    let folder = fs::read_dir(data_dir.join("mail")).expect("a folder of letters");
    let letters: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = fs::read_to_string(&letters[0]).expect("it reads").replace("=\r\n", "");
    let (_, rest) = letter.split_once("abi_").expect("a token");
    let end = rest.find(|it: char| !it.is_ascii_alphanumeric()).expect("its end");
    format!("abi_{}", &rest[..end])
}

fn ask(server: &Server, token: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = post(&server.address, token, path, &body.to_string());
    (answer.status, answer.json())
}

#[test]
fn who_is_invited_gets_in_and_may_what_the_role_may() {
    let dir = TempDir::new().expect("a folder");
    import(dir.path(), "llama");
    let server = Server::start(dir.path());
    server.await_ready();
    let made = succeed(dir.path(), &["key", "create", "--name", "k", "--admin", "--json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let admin = made["secret"].as_str().expect("a secret");
    let invite = json!({"email": "ada@example.com", "role": "reader"});
    let (status, invited) = ask(&server, admin, "/v1/organization/invites", invite);
    assert_eq!(status, 200, "{invited}");
    let sign_up = json!({"email": "ada@example.com", "password": PASSWORD, "name": "Ada",
        "invitation": invitation(dir.path())});
    let (status, user) = ask(&server, "", "/api/v1/auth/sign-up", sign_up);
    assert_eq!(status, 201, "{user}");
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    let (status, session) = ask(&server, "", "/api/v1/auth/login", login);
    assert_eq!(status, 200, "{session}");
    let token = session["access_token"].as_str().expect("a token");

    assert!(server.get(PROJECTS, token).starts_with("HTTP/1.1 200"));
    let described = server.get("/openapi.json", "");
    for path in [PROJECTS, "/api/v1/organization/limits", "/api/v1/auth/login", "/v1/models"] {
        assert!(described.contains(&format!("\"{path}\"")), "{path} is not described");
    }
    let (status, refused) = ask(&server, token, PROJECTS, json!({"name": "x"}));
    assert_eq!((status, &refused["error"]["code"]), (403, &json!("insufficient_permissions")));
    // The role is what it is now, whatever the token is of.
    succeed(dir.path(), &["user", "role", "ada@example.com", "admin"]);
    let (status, project) = ask(&server, token, PROJECTS, json!({"name": "x"}));
    assert_eq!(status, 200, "{project}");
    // Their name is in the log, and their token is no API key.
    let log = succeed(dir.path(), &["audit", "list"]);
    assert!(log.contains("project.created") && log.contains("user:user-"), "{log}");
    assert!(server.get("/v1/models", token).starts_with("HTTP/1.1 401"));
    succeed(dir.path(), &["user", "disable", "ada@example.com"]);
    assert!(server.get(PROJECTS, token).starts_with("HTTP/1.1 401"));
}
