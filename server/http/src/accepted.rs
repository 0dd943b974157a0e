//! Options of OpenAI's that change nothing of what an answer may say, only when and how fast it
//! comes: checked, and put where they count.

use engine_core::Class;
use serde_json::Value;
use server_api::{ChatRequest, Content, GenerationOptions, Prediction};

use crate::ApiError;
use crate::json::Generate;

/// How urgent a request is to its tenant: by vLLM's number, of which a lower one is more urgent,
/// or by OpenAI's name for it.
pub(crate) fn class(options: &GenerationOptions) -> Result<Class, ApiError> {
    let tier = match options.service_tier.as_deref() {
        None | Some("auto" | "default" | "scale" | "standard_only") => Class::Normal,
        Some("priority" | "fast") => Class::High,
        Some("flex") => Class::Low,
        Some(_) => {
            let message = "'service_tier' must be 'auto', 'default', 'flex', 'scale', 'priority' \
                           or 'fast'.";
            return Err(ApiError::invalid(Some("service_tier"), message));
        }
    };
    Ok(match options.priority {
        None => tier,
        Some(..0) => Class::High,
        Some(0) => Class::Normal,
        Some(_) => Class::Low,
    })
}

/// What an answer says of it, to who asked by name.
pub(crate) fn tier(options: &GenerationOptions, class: Class) -> Option<&'static str> {
    options.service_tier.as_ref().map(|_| match class {
        Class::High => "priority",
        Class::Normal => "default",
        Class::Low => "flex",
    })
}

/// The text that an answer is expected to be like.
pub(crate) fn prediction(prediction: Option<Prediction>) -> Result<Option<String>, ApiError> {
    let Some(Prediction { kind, content }) = prediction else { return Ok(None) };
    if kind != "content" {
        let message = "'prediction.type' must be 'content'.";
        return Err(ApiError::invalid(Some("prediction.type"), message));
    }
    match content {
        Content::Text(text) => Ok(Some(text)),
        Content::Parts(parts) => {
            let text = parts.into_iter().enumerate().map(|(idx, part)| {
                let param = format!("prediction.content[{idx}].type");
                let message = "Only text can be predicted.";
                let text = part.text.filter(|_| part.kind == "text");
                text.ok_or_else(|| ApiError::unsupported(&param, message))
            });
            Ok(Some(text.collect::<Result<String, ApiError>>()?))
        }
    }
}

/// Tells the model's template how hard to think and how much to say, unless the request itself
/// does in `chat_template_kwargs`.
pub(crate) fn tell_template(body: &mut Generate<ChatRequest>) -> Result<(), ApiError> {
    // Templates know three.
    let effort = match body.options.reasoning_effort.as_deref() {
        None => None,
        Some("none" | "minimal" | "low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("high" | "xhigh" | "max") => Some("high"),
        Some(_) => {
            let message = "'reasoning_effort' must be 'none', 'minimal', 'low', 'medium', 'high', \
                           'xhigh' or 'max'.";
            return Err(ApiError::invalid(Some("reasoning_effort"), message));
        }
    };
    let verbosity = body.options.verbosity.as_deref();
    if verbosity.is_some_and(|verbosity| !["low", "medium", "high"].contains(&verbosity)) {
        let message = "'verbosity' must be 'low', 'medium' or 'high'.";
        return Err(ApiError::invalid(Some("verbosity"), message));
    }
    let thinks_not = matches!(body.options.reasoning_effort.as_deref(), Some("none" | "minimal"));
    let told = [
        ("reasoning_effort", effort.map(Value::from)),
        ("enable_thinking", thinks_not.then_some(Value::Bool(false))),
        ("verbosity", verbosity.map(Value::from)),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            let kwargs = body.request.chat_template_kwargs.get_or_insert_default();
            kwargs.entry(name).or_insert(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::FromJson;

    #[test]
    fn templates_are_told_in_their_own_words_and_the_request_wins() {
        let told = |body: &str| {
            let mut body = Generate::from_json(body.as_bytes()).unwrap();
            tell_template(&mut body).unwrap();
            Value::from(body.request.chat_template_kwargs.unwrap_or_default())
        };
        let cases = [
            (r#"{"messages": []}"#, json!({})),
            (
                r#"{"messages": [], "reasoning_effort": "minimal", "verbosity": "low"}"#,
                json!({"reasoning_effort": "low", "enable_thinking": false, "verbosity": "low"}),
            ),
            (
                r#"{"messages": [], "reasoning_effort": "xhigh"}"#,
                json!({"reasoning_effort": "high"}),
            ),
            (
                r#"{"messages": [], "reasoning_effort": "none",
                    "chat_template_kwargs": {"enable_thinking": true}}"#,
                json!({"enable_thinking": true, "reasoning_effort": "low"}),
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(told(body), expected, "{body}");
        }
    }

    #[test]
    fn a_number_says_more_than_a_name() {
        let of = |priority: Option<i64>, service_tier: Option<&str>| {
            let service_tier = service_tier.map(str::to_owned);
            let options = GenerationOptions { priority, service_tier, ..Default::default() };
            let class = class(&options).unwrap();
            (class, tier(&options, class))
        };
        assert_eq!(of(None, None), (Class::Normal, None));
        assert_eq!(of(None, Some("auto")), (Class::Normal, Some("default")));
        assert_eq!(of(None, Some("flex")), (Class::Low, Some("flex")));
        assert_eq!(of(None, Some("priority")), (Class::High, Some("priority")));
        assert_eq!(of(Some(-3), None), (Class::High, None));
        assert_eq!(of(Some(0), Some("flex")), (Class::Normal, Some("default")));
        assert_eq!(of(Some(i64::MAX), Some("priority")), (Class::Low, Some("flex")));
    }
}
