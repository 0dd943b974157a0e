//! Pages, and forms on them.
//!
//! Invariant: whatever is put into a page that was not written here is escaped.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use server_http::ApiError;

/// Nothing is loaded or run, and forms go to this server alone.
const POLICY: &str =
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Of the address at most the host: a form's request names where it comes from by it.
const REFERRER: &str = "strict-origin";

/// A page.
pub(super) struct Page {
    status: StatusCode,
    title: &'static str,
    body: String,
}

/// A form, and links below it.
pub(super) struct Form {
    action: &'static str,
    button: &'static str,
    text: String,
    fields: String,
    links: String,
}

/// What is asked for.
pub(super) struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    is_required: bool,
}

impl Field {
    pub(super) const EMAIL: Self = Self::required("email", "E-mail address", "email", "email");
    pub(super) const NAME: Self = Self::required("name", "Your name", "text", "name");
    pub(super) const PASSWORD: Self =
        Self::required("password", "Password", "password", "current-password");
    pub(super) const NEW_PASSWORD: Self =
        Self::required("password", "New password", "password", "new-password");
    pub(super) const CODE: Self = Self {
        is_required: false,
        ..Self::required("totp", "Code of your second factor", "text", "one-time-code")
    };
    pub(super) const RECOVERY_CODE: Self = Self {
        is_required: false,
        ..Self::required("recovery_code", "Or a recovery code", "text", "off")
    };

    const fn required(
        name: &'static str,
        label: &'static str,
        kind: &'static str,
        autocomplete: &'static str,
    ) -> Self {
        Self { name, label, kind, autocomplete, is_required: true }
    }
}

impl Form {
    pub(super) fn new(action: &'static str, button: &'static str) -> Self {
        let (text, fields, links) = Default::default();
        Self { action, button, text, fields, links }
    }

    /// Says something above it.
    pub(super) fn saying(mut self, text: &str) -> Self {
        self.text = format!("<p>{}</p>", escaped(text));
        self
    }

    /// Sends a value along.
    pub(super) fn hidden(mut self, name: &str, value: &str) -> Self {
        let (name, value) = (escaped(name), escaped(value));
        let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
        self.fields.push_str(&field);
        self
    }

    pub(super) fn field(mut self, field: &Field) -> Self {
        let Field { name, label, kind, autocomplete, is_required } = field;
        let required = if *is_required { " required" } else { "" };
        let field = format!(
            "<p><label>{label}<br><input name=\"{name}\" type=\"{kind}\" \
             autocomplete=\"{autocomplete}\"{required}></label></p>"
        );
        self.fields.push_str(&field);
        self
    }

    /// Leads elsewhere on this server.
    pub(super) fn link(mut self, path: &str, text: &str) -> Self {
        let (path, text) = (escaped(path), escaped(text));
        let link = format!("<p><a href=\"{path}\">{text}</a></p>");
        self.links.push_str(&link);
        self
    }

    fn html(&self) -> String {
        let Self { action, button, text, fields, links } = self;
        format!(
            "{text}<form method=\"post\" action=\"{action}\">{fields}\
             <p><button>{button}</button></p></form>{links}"
        )
    }
}

impl Page {
    pub(super) fn form(title: &'static str, form: &Form) -> Self {
        Self { status: StatusCode::OK, title, body: form.html() }
    }

    /// What was asked for is done.
    pub(super) fn done(title: &'static str, text: &str) -> Self {
        Self { status: StatusCode::OK, title, body: format!("<p>{}</p>", escaped(text)) }
    }

    /// It is not done, and may be tried again.
    pub(super) fn refused(title: &'static str, error: &ApiError, again: Option<&Form>) -> Self {
        let why = error.body().error.message;
        let form = again.map(Form::html).unwrap_or_default();
        let body = format!("<p role=\"alert\">{}</p>{form}", escaped(&why));
        Self { status: error.status(), title, body }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Self { status, title, body } = self;
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>\n"
        );
        let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let headers = [
            header(header::CONTENT_TYPE, "text/html; charset=utf-8"),
            header(header::CONTENT_SECURITY_POLICY, POLICY),
            header(header::REFERRER_POLICY, REFERRER),
            header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (status, headers, html).into_response()
    }
}

/// As text or as an attribute's value between double quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}
