//! Models by the names that AWS's clients have for them: ARNs, and profiles of several regions.
//!
//! Invariant: a name that is a model's own id is that model's, whatever else it looks like.

/// What stands before a model's id where several regions answer for it.
const PROFILES: [&str; 7] = ["us-gov.", "us.", "eu.", "apac.", "jp.", "au.", "global."];
/// What an ARN may be of, if it is of a model.
const RESOURCES: [&str; 7] = [
    "foundation-model",
    "inference-profile",
    "application-inference-profile",
    "provisioned-model",
    "imported-model",
    "custom-model",
    "custom-model-deployment",
];

/// The id of ours that a client means; `id` itself where it means none.
pub(super) fn resolve(id: String, is_ours: impl Fn(&str) -> bool) -> String {
    let resource = resource(&id);
    let plain = |id| PROFILES.iter().find_map(|profile| str::strip_prefix(id, profile));
    let known = [Some(id.as_str()), resource, plain(resource.unwrap_or(&id))];
    let known = known.into_iter().flatten().find(|id| is_ours(id)).map(str::to_owned);
    known.unwrap_or(id)
}

/// What `arn:PARTITION:bedrock:REGION:ACCOUNT:KIND/NAME` names.
fn resource(id: &str) -> Option<&str> {
    let mut parts = id.splitn(6, ':');
    let head = [parts.next()?, parts.next()?, parts.next()?];
    let is_awss = head[0] == "arn" && (head[1] == "aws" || head[1].starts_with("aws-"));
    // The region and the account may be any.
    let (kind, name) = parts.nth(2)?.split_once('/')?;
    (is_awss && head[2] == "bedrock" && RESOURCES.contains(&kind)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_what_aws_makes_of_its_id() {
        let ours = ["llama", "org/llama:8b", "us.mine", "arn:aws:bedrock:::foundation-model/x"];
        for (id, expected) in [
            ("llama", Some("llama")),
            ("us.llama", Some("llama")),
            ("us-gov.llama", Some("llama")),
            ("global.org/llama:8b", Some("org/llama:8b")),
            ("us.mine", Some("us.mine")),
            ("arn:aws:bedrock:::foundation-model/x", Some("arn:aws:bedrock:::foundation-model/x")),
            ("arn:aws:bedrock:eu-west-1::foundation-model/llama", Some("llama")),
            ("arn:aws-cn:bedrock:cn-north-1::foundation-model/org/llama:8b", Some("org/llama:8b")),
            ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.llama", Some("llama")),
            ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.mine", Some("us.mine")),
            ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/llama", Some("llama")),
            ("arn:aws:bedrock:us-east-1:123456789012:imported-model/llama", Some("llama")),
            ("mine", None),
            ("de.llama", None),
            ("us.us.llama", None),
            ("usllama", None),
            ("Llama", None),
            ("arn:aws:bedrock:eu-west-1::guardrail/llama", None),
            ("arn:aws:sagemaker:eu-west-1::foundation-model/llama", None),
            ("arn:gcp:bedrock:eu-west-1::foundation-model/llama", None),
            ("arn:aws:bedrock:eu-west-1:foundation-model/llama", None),
            ("arn:aws:bedrock", None),
            ("", None),
        ] {
            let found = resolve(id.to_owned(), |id| ours.contains(&id));
            assert_eq!(found, expected.unwrap_or(id), "{id}");
        }
    }
}
