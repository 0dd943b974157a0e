//! What people see and change of themselves.

use serde::{Deserialize, Serialize};
use server_identity::RecoveryCode;
use server_store::{Identity, OrganizationOf, User};
use utoipa::ToSchema;

use super::session::Due;

/// Who is logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// `user-…`
    pub(crate) id: String,
    /// Always `user`.
    pub(crate) object: &'static str,
    /// In lower case.
    pub(crate) email: String,
    /// What others see.
    pub(crate) name: String,
    /// Unix time in seconds.
    pub(crate) created_at: i64,
    /// Whether there is a password, beside logins with other providers.
    pub(crate) has_password: bool,
    /// Whether a second factor is asked for.
    pub(crate) has_second_factor: bool,
    /// Recovery codes that were not used.
    pub(crate) recovery_codes_left: u64,
    /// Who they are elsewhere.
    pub(crate) identities: Vec<IdentityObject>,
    /// What this session lacks.
    pub(crate) required: Option<Due>,
}

impl Me {
    pub(crate) fn new(user: User, codes: u64, elsewhere: Vec<Identity>, due: Option<Due>) -> Self {
        let identity = |it: Identity| IdentityObject { issuer: it.issuer, subject: it.subject };
        Self {
            id: user.id,
            object: "user",
            email: user.email,
            name: user.name,
            created_at: user.created_at,
            has_password: user.has_password,
            has_second_factor: user.totp_enabled_at.is_some(),
            recovery_codes_left: codes,
            identities: elsewhere.into_iter().map(identity).collect(),
            required: due,
        }
    }
}

/// Who somebody is at another provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityObject {
    /// The provider, as it calls itself.
    issuer: String,
    /// Who they are there.
    subject: String,
}

/// What is to be another; the rest stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct MeUpdate {
    /// What others see: 1 to 256 bytes.
    pub(crate) name: Option<String>,
    /// A new password, with the current one; all other sessions end.
    pub(crate) password: Option<String>,
    /// The one that there is.
    pub(crate) current_password: Option<String>,
    /// Six digits, of who has a second factor and sets a password.
    pub(crate) totp: Option<String>,
    /// Instead of them, a recovery code.
    pub(crate) recovery_code: Option<String>,
}

/// Another address, which counts when the link that is sent to it was opened.
#[derive(Deserialize, ToSchema)]
pub(crate) struct EmailChangeRequest {
    /// The new one.
    pub(crate) email: String,
    /// Of who has one.
    pub(crate) password: Option<String>,
    /// Six digits, of who has a second factor.
    pub(crate) totp: Option<String>,
    /// Instead of them, a recovery code.
    pub(crate) recovery_code: Option<String>,
}

/// Who asks shows once more who they are.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct ShownAgain {
    /// Of who has one.
    pub(crate) password: Option<String>,
    /// Six digits, of who has a second factor.
    pub(crate) totp: Option<String>,
    /// Instead of them, a recovery code.
    pub(crate) recovery_code: Option<String>,
}

/// A second factor that is to be confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TotpSetup {
    /// Always `auth.totp`.
    pub(crate) object: &'static str,
    /// For an authenticator app, in base32.
    pub(crate) secret: String,
    /// The same for a QR code: `otpauth://totp/…`.
    pub(crate) uri: String,
}

/// The first code of a second factor.
#[derive(Deserialize, ToSchema)]
pub(crate) struct TotpConfirmation {
    /// Six digits.
    pub(crate) code: String,
}

/// Codes for when the second factor is lost, each good for once. They are not told again.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Always `auth.recovery_codes`.
    object: &'static str,
    /// Ten of them.
    recovery_codes: Vec<String>,
}

impl RecoveryCodes {
    pub(crate) fn new(codes: &[RecoveryCode]) -> axum::Json<Self> {
        let recovery_codes = codes.iter().map(RecoveryCode::reveal).collect();
        axum::Json(Self { object: "auth.recovery_codes", recovery_codes })
    }
}

/// An organization that somebody belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnOrganization {
    /// `org-…`
    id: String,
    /// Always `organization`.
    object: &'static str,
    /// What people call it.
    name: String,
    /// The role there.
    role: String,
    /// Whether its members have to have a second factor.
    requires_two_factors: bool,
}

impl From<OrganizationOf> for OwnOrganization {
    fn from(it: OrganizationOf) -> Self {
        let OrganizationOf { id, name, role, requires_two_factors } = it;
        Self { id, object: "organization", name, role, requires_two_factors }
    }
}

/// All organizations that somebody belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "only its schema is used; `All` is what is written")]
pub(crate) struct OwnOrganizations {
    /// Always `list`.
    object: &'static str,
    /// By name.
    data: Vec<OwnOrganization>,
}

/// Somebody has become a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// Always `organization.user`.
    pub(crate) object: &'static str,
    /// The user's id.
    pub(crate) id: String,
    /// The role.
    pub(crate) role: String,
}

/// Another provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginProvider {
    /// What it is called in `/api/v1/auth/oidc/{provider}`.
    pub(crate) id: String,
    /// As it calls itself.
    pub(crate) issuer: String,
}

/// All other providers.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "only its schema is used; `All` is what is written")]
pub(crate) struct LoginProviders {
    /// Always `list`.
    object: &'static str,
    /// As they are configured.
    data: Vec<LoginProvider>,
}
