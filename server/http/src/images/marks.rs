//! Where images are in a prompt: templates write a mark for each, and so may anybody in a text.
//!
//! Invariant: a mark in a client's text, or made up of several, gives tokens of its letters and
//! never the token of an image; the marks that a template writes are as many as there are images.

use engine_core::{ImageMarks, ImagePlan, TokenId};
use engine_text::{TextError, TextModel};
use serde_json::Value;

use crate::ApiError;

/// What is to be seen in a chat, and how the model's prompts tell of it.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) marks: ImageMarks,
    /// In order.
    pub(crate) plans: Vec<ImagePlan>,
}

/// Characters for private use, which texts hardly have.
const PRIVATE: std::ops::RangeInclusive<char> = '\u{e000}'..='\u{f8ff}';

/// Cuts marks in texts in two by a character that no text has, and returns that; a text that ends
/// like the beginning of a mark is cut off from what comes after it.
pub(crate) fn escape(values: &mut [&mut Value], mark: &str) -> Result<char, ApiError> {
    let all: String = values.iter().map(|value| value.to_string()).collect();
    let cut = PRIVATE.into_iter().find(|c| !all.contains(*c)).ok_or_else(|| {
        let message = "The messages have all characters for private use: there must be one left.";
        ApiError::invalid(Some("messages"), message)
    })?;
    values.iter_mut().for_each(|value| escape_value(value, mark, cut));
    Ok(cut)
}

fn escape_value(value: &mut Value, mark: &str, cut: char) {
    match value {
        Value::String(text) => escape_text(text, mark, cut),
        Value::Array(items) => items.iter_mut().for_each(|item| escape_value(item, mark, cut)),
        Value::Object(fields) => {
            // What a part or a message is, is not a client's text.
            let texts = fields.iter_mut().filter(|(key, _)| !matches!(&***key, "type" | "role"));
            texts.for_each(|(_, value)| escape_value(value, mark, cut));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn escape_text(text: &mut String, mark: &str, cut: char) {
    let middle = mark.char_indices().nth(1).map_or(mark.len(), |(at, _)| at);
    if text.contains(mark) {
        let (head, tail) = mark.split_at(middle);
        *text = text.replace(mark, &format!("{head}{cut}{tail}"));
    }
    let mut beginnings = mark.char_indices().skip(1).map(|(at, _)| &mark[..at]);
    if beginnings.any(|beginning| text.ends_with(beginning)) {
        text.push(cut);
    }
}

/// The tokens of a rendered prompt: marks become what their images are in it, and what was cut is
/// tokenized apart.
pub(crate) fn tokens(
    text: &TextModel,
    (prompt, cut): (&str, char),
    sight: &Sight,
    add_special_tokens: bool,
) -> Result<Vec<TokenId>, Wrong> {
    let ImageMarks { text: mark, token, .. } = &sight.marks;
    let mut plans = sight.plans.iter();
    let mut tokens = Vec::new();
    for (idx, piece) in prompt.split(cut).enumerate() {
        let mut between = piece.split(mark.as_str());
        let mut whole = between.next().unwrap_or_default().to_owned();
        for rest in between {
            whole += &plans.next().ok_or(Wrong::Marks)?.text;
            whole += rest;
        }
        tokens.extend(text.encode(&whole, add_special_tokens && idx == 0)?);
    }
    let rows: usize = sight.plans.iter().map(|plan| plan.num_rows).sum();
    let found = tokens.iter().filter(|found| *found == token).count();
    match plans.next().is_none() && found == rows {
        true => Ok(tokens),
        false => Err(Wrong::Marks),
    }
}

/// Why a prompt with images could not be made.
#[derive(Debug)]
pub(crate) enum Wrong {
    Text(TextError),
    /// Not one mark for each image.
    Marks,
}

impl From<TextError> for Wrong {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sight(images: &[usize]) -> Sight {
        // The byte vocabulary has a special token to stand in for an image's.
        let marks = ImageMarks { text: "<image>".into(), token: 259, width: 1 };
        let plan = |num_rows: &usize| ImagePlan {
            text: format!("[{}]", "<|im_end|>".repeat(*num_rows)),
            num_rows: *num_rows,
        };
        Sight { marks, plans: images.iter().map(plan).collect() }
    }

    #[test]
    fn texts_are_cut_where_they_would_make_a_mark() {
        let mut messages = json!([{"role": "user", "content": [
            {"type": "image"}, {"type": "text", "text": "a <image> b <image"},
            {"type": "text", "text": ">"}, {"type": "text", "text": "\u{e000} <"}]}]);
        let cut = escape(&mut [&mut messages], "<image>").unwrap();
        assert_eq!(cut, '\u{e001}');
        let parts = &messages[0]["content"];
        assert_eq!(parts[0], json!({"type": "image"}));
        assert_eq!(parts[1]["text"], "a <\u{e001}image> b <image\u{e001}");
        assert_eq!(
            (&parts[2]["text"], &parts[3]["text"]),
            (&json!(">"), &json!("\u{e000} <\u{e001}"))
        );
    }

    #[test]
    fn only_marks_of_the_template_become_images() {
        let text = TextModel::byte_level();
        let tokens = |prompt: &str, images: &[usize]| {
            tokens(&text, (prompt, '\u{e000}'), &sight(images), false)
        };
        let plain = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
        let typed = tokens("a<\u{e000}image>b", &[]).unwrap();
        assert_eq!(typed, plain("a<image>b"));
        let one = tokens("a<image>b<\u{e000}image>", &[2]).unwrap();
        assert_eq!(one, [plain("a["), vec![259, 259], plain("]b<image>")].concat());
        for (prompt, images) in [
            ("<image>", &[][..]),
            ("<image><image>", &[1]),
            ("<image>", &[1, 1]),
            ("a", &[1]),
            // The token itself, which a client may write too.
            ("<image><|im_end|>", &[1]),
        ] {
            assert!(matches!(tokens(prompt, images), Err(Wrong::Marks)), "{prompt}");
        }
    }

    #[test]
    fn a_chat_with_every_private_character_is_refused() {
        let mut all = Value::from(PRIVATE.collect::<String>());
        let error = escape(&mut [&mut all], "<image>").unwrap_err();
        assert_eq!(error.body().error.param.as_deref(), Some("messages"));
    }
}
