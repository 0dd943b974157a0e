//! Images out of the parts of messages.
//!
//! Invariant: what is left in a message is what templates know: a part of type `image` stands where
//! an image was taken out, and nowhere else.

use server_api::{ChatMessage, Content, ContentPart, Role};

use crate::ApiError;

/// What templates call an image.
pub(crate) const IMAGE: &str = "image";

/// An image that was asked to be seen.
pub(super) struct Asked {
    /// The field that holds it, for errors.
    pub(super) place: String,
    pub(super) url: String,
}

/// Takes the images out.
pub(super) fn take(messages: &mut [ChatMessage]) -> Result<Vec<Asked>, ApiError> {
    let mut all = Vec::new();
    for (idx, message) in messages.iter_mut().enumerate() {
        let role = message.role;
        let Some(Content::Parts(parts)) = &mut message.content else { continue };
        for (part_idx, part) in parts.iter_mut().enumerate() {
            let path = format!("messages[{idx}].content[{part_idx}]");
            match part.kind.as_str() {
                "image_url" => all.push(taken(part, role, &path)?),
                IMAGE => return Err(unsupported(IMAGE, &path)),
                _ => {}
            }
        }
    }
    Ok(all)
}

fn taken(part: &mut ContentPart, role: Role, path: &str) -> Result<Asked, ApiError> {
    if role != Role::User {
        let message = "Only messages of role 'user' may hold images.";
        return Err(ApiError::unsupported(&format!("{path}.type"), message));
    }
    let image = part.image_url.take();
    let image = image.ok_or_else(|| ApiError::missing(&format!("{path}.image_url")))?;
    let known = ["auto", "low", "high", "original"];
    if image.detail.as_deref().is_some_and(|detail| !known.contains(&detail)) {
        let place = format!("{path}.image_url.detail");
        let message = format!("'{place}' must be 'auto', 'low', 'high' or 'original'.");
        return Err(ApiError::invalid(Some(&place), message));
    }
    *part = ContentPart { kind: IMAGE.to_owned(), ..ContentPart::default() };
    Ok(Asked { place: format!("{path}.image_url.url"), url: image.url })
}

/// 400 for a part of a type that is not read.
pub(crate) fn unsupported(kind: &str, path: &str) -> ApiError {
    let kind: String = kind.chars().take(64).collect();
    let message = format!("Content of type '{kind}' is not supported: send text.");
    ApiError::unsupported(&format!("{path}.type"), message)
}
