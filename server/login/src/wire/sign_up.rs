//! Signing up, addresses and forgotten passwords.

use serde::Deserialize;
use utoipa::ToSchema;

/// Somebody who wants an account.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignUpRequest {
    /// Their address.
    pub(crate) email: String,
    /// 8 characters or more; none of the most common ones.
    pub(crate) password: String,
    /// What others see: 1 to 256 bytes.
    pub(crate) name: String,
    /// What their organization is to be called, if they get one.
    pub(crate) organization: Option<String>,
    /// The token of an invitation to their address, which makes them a member at once.
    pub(crate) invitation: Option<String>,
}

/// The token of a link that was sent to an address.
#[derive(Deserialize, ToSchema)]
pub(crate) struct VerifyEmailRequest {
    /// `abv_…`
    pub(crate) token: String,
    /// What the organization is to be called, as the link says.
    pub(crate) organization: Option<String>,
}

/// The token of a link that was sent to the address that an account is to have.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangeEmailRequest {
    /// `abe_…`
    pub(crate) token: String,
}

/// Somebody who does not know their password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ForgotPasswordRequest {
    /// Their address.
    pub(crate) email: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ResetPasswordRequest {
    /// `abp_…`, of a link that was sent.
    pub(crate) token: String,
    /// The new one.
    pub(crate) password: String,
}

/// The token of an invitation.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AcceptInvitationRequest {
    /// `abi_…`
    pub(crate) token: String,
}
