//! What a field of the chat is called in another API's request, and an element of a list: errors
//! name what the client sent.

/// What `path` is called elsewhere, by the first of the names that it begins with.
pub(crate) fn translated(path: &str, names: &[(&str, &str)]) -> Option<String> {
    names.iter().find_map(|(ours, theirs)| {
        let rest = path.strip_prefix(ours)?;
        let is_name = rest.is_empty() || rest.starts_with(['.', '[']);
        is_name.then(|| format!("{theirs}{rest}"))
    })
}

/// What the element of a field is called that holds so many; of one it is the field itself.
pub(crate) fn place(field: &str, idx: usize, num: usize) -> String {
    if num == 1 { field.to_owned() } else { format!("{field}[{idx}]") }
}

/// The index in `path`, if it begins with `list` and one, and what follows.
pub(crate) fn indexed<'a>(path: &'a str, list: &str) -> Option<(usize, &'a str)> {
    let (idx, rest) = path.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
    Some((idx.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiError;

    #[test]
    fn only_whole_names_are_translated() {
        let names = [("stop", "stopSequences"), ("tools", "toolConfig.tools")];
        for (path, expected) in [
            ("stop", Some("stopSequences")),
            ("stop[3]", Some("stopSequences[3]")),
            ("tools[0].name", Some("toolConfig.tools[0].name")),
            ("stopped", None),
            ("a stop", None),
        ] {
            assert_eq!(translated(path, &names).as_deref(), expected, "{path}");
        }
        assert_eq!(indexed("messages[12].content", "messages"), Some((12, ".content")));
        for path in ["messages", "messages[x]", "messages[1", "message[1]"] {
            assert_eq!(indexed(path, "messages"), None, "{path}");
        }
        let error = ApiError::invalid(Some("stop"), "The model's 'stop' doesn't stop 'stopped'.");
        let told = error.in_words(|path| translated(path, &names)).body().error;
        assert_eq!(told.param.as_deref(), Some("stopSequences"));
        assert_eq!(told.message, "The model's 'stopSequences' doesn't stop 'stopped'.");
    }
}
