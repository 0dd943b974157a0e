//! Names of roles, ours and OpenAI's.
//!
//! OpenAI's organizations have owners and readers, its projects owners and members. Under `/v1` our
//! `viewer` of an organization is told as `reader`, our `admin` of a project as `owner` and our
//! `developer` of one as `member`, and both names are read. All other roles have one name.

/// Our name of a role of an organization; the store knows those of projects by itself.
pub(crate) fn in_organization(told: &str) -> &str {
    if told == "reader" { "viewer" } else { told }
}

/// OpenAI's name of a role of an organization.
pub(crate) fn told_of_organization(role: &str) -> String {
    (if role == "viewer" { "reader" } else { role }).to_owned()
}

/// OpenAI's name of a role in a project.
pub(crate) fn told_of_project(role: &str) -> String {
    let told = match role {
        "admin" => "owner",
        "developer" => "member",
        other => other,
    };
    told.to_owned()
}
